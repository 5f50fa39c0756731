"""What a person with a browser finds at a service: a front page, and the description of its endpoints to try out."""

from html import escape
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

from crm_shared.domain.errors import NotFound

SWAGGER_UI = "5.35.0"
"""The version of Swagger UI in the folder `swagger_ui`, which says where its files are from."""
_FOLDER = Path(__file__).parent / "swagger_ui"
_SERVED = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")
_ASSETS = f"/docs/swagger-ui-{SWAGGER_UI}"
_ICON = f"{_ASSETS}/favicon-32x32.png"
# The address has the version in it, so that it never stands for other bytes.
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}

_LINKS = (
    ("/docs", "The endpoints, to read and to try"),
    ("/openapi.json", "The endpoints, for programs: OpenAPI"),
    ("/asyncapi.yaml", "The public events, for programs: AsyncAPI, with this installation's broker and partitions"),
    ("/schemas", "The public events' JSON Schemas"),
    ("/v1/operations/status", "The log, what of it is published, and how far each view is"),
    ("/healthz", "Whether the process is alive"),
    ("/readyz", "Whether stores and bus can be reached"),
    ("/metrics", "Figures for Prometheus"),
)

# Pages for people are no part of what OpenAPI describes.
router = APIRouter(include_in_schema=False)


@router.get("/")
async def front_page(request: Request) -> HTMLResponse:
    app: FastAPI = request.app
    links = "\n".join(f'<li><a href="{path}">{path}</a> {escape(what)}</li>' for path, what in _LINKS)
    return HTMLResponse(f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(app.title)}</title>
<link rel="icon" href="{_ICON}">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 3rem auto; padding: 0 1rem }}
a {{ font-family: ui-monospace, monospace; margin-right: 1rem }}
</style>
</head>
<body>
<h1>{escape(app.title)}</h1>
<p>{escape(app.description)}</p>
<ul>
{links}
</ul>
</body>
</html>
""")


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    app: FastAPI = request.app
    return get_swagger_ui_html(
        openapi_url=app.openapi_url or "",
        title=app.title,
        swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=_ICON,
        # Else it asks a server on the internet whether the description is valid.
        swagger_ui_parameters={"validatorUrl": None},
    )


@router.get(f"{_ASSETS}/{{name}}")
async def swagger_ui(name: str) -> Response:
    if name not in _SERVED:
        raise NotFound(f"there is no file {name}")
    return FileResponse(_FOLDER / name, headers=_FOREVER)
