"""Who may import whom, for every distribution that there is: `python tests/architecture/imports.py`.

The rules are import-linter's. They are spelled out here rather than in pyproject.toml because it wants every package
by its name, and a further service should cost no line outside of its folder.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from importlinter.application.use_cases import lint_imports
from importlinter.configuration import configure

ROOT = Path(__file__).parents[2]


def packages(folder: str) -> list[str]:
    """The packages of the distributions in a folder of the repository."""
    return sorted(path.name for path in ROOT.glob(f"{folder}/*/src/*") if (path / "__init__.py").exists())


def rules(services: list[str], deployed: list[str]) -> list[dict[str, Any]]:
    """The contracts, as import-linter takes them."""
    writing = [f"{service}.{room}" for service in services for room in ("publishing", "application", "domain")]
    reading = [f"{service}.{room}" for service in services for room in ("queries", "projections")]
    return [
        {
            "name": "Distributions: what is deployed, services that never import each other, plumbing, contract",
            "type": "layers",
            "layers": [" : ".join(deployed), " | ".join(services), "crm_shared", "crm_contracts"],
        },
        {
            "name": "Rooms: crm_shared mirrors those of a service",
            "type": "layers",
            "containers": ["crm_shared", *services],
            # Rooms on one line do not import each other.
            "layers": [
                "(testing)",
                "(main) | (process)",
                "(api) | (http)",
                "(policies) | (queries)",
                "(publishing) | (projections)",
                "(application)",
                "(postgres) | (mongo) | (kafka)",
                "(settings) | (observability)",
                "(domain)",
            ],
        },
        {
            "name": "What writes knows no views, no bus and no HTTP",
            "type": "forbidden",
            "source_modules": writing,
            "forbidden_modules": [*reading, "crm_shared.projections", "crm_shared.queries", "crm_shared.http"],
            "allow_indirect_imports": True,
        },
        {
            "name": "What reads knows no aggregates and no commands",
            "type": "forbidden",
            "source_modules": reading,
            "forbidden_modules": [*writing, "crm_shared.application", "crm_shared.http", "fastapi", "starlette"],
            "allow_indirect_imports": True,
        },
        {
            "name": "The domain knows its rules, and nothing of stores, buses or HTTP",
            "type": "forbidden",
            "source_modules": [f"{service}.domain" for service in services],
            "forbidden_modules": [
                *("aiokafka", "fastapi", "psycopg", "pymongo", "starlette"),
                *(
                    f"crm_shared.{room}"
                    for room in ("application", "http", "kafka", "mongo", "postgres", "projections")
                ),
            ],
        },
        {
            "name": "The public contract can be installed alone",
            "type": "forbidden",
            "source_modules": ["crm_contracts"],
            "forbidden_modules": ["aiokafka", "eventsourcing", "fastapi", "faststream", "psycopg", "pymongo", "yaml"],
            # Each is what an extra brings.
            "ignore_imports": [
                "crm_contracts.faststream -> aiokafka",
                "crm_contracts.faststream -> faststream",
                "crm_contracts.tooling.asyncapi -> yaml",
            ],
        },
        {
            "name": "The command crm reaches services over HTTP and Kafka only",
            "type": "forbidden",
            "source_modules": deployed,
            "forbidden_modules": ["crm_shared", "crm_contracts", *services],
        },
    ]


def configuration() -> str:
    """The rules as a file that import-linter reads."""
    services, deployed = packages("services"), packages("deploy")
    lines = ["[tool.importlinter]", f"root_packages = {json.dumps([*packages('shared'), *services, *deployed])}"]
    lines.append("include_external_packages = true")
    for rule in rules(services, deployed):
        existing = {
            name: [one for one in value if _exists(one)] if name in ("source_modules", "forbidden_modules") else value
            for name, value in rule.items()
        }
        lines += ["", "[[tool.importlinter.contracts]]"]
        lines += [f"{name} = {json.dumps(value)}" for name, value in existing.items()]
    return "\n".join(lines) + "\n"


def _exists(module: str) -> bool:
    """Whether it is a package of others, or a module of ours: not every service has every room."""
    package, *rooms = module.split(".")
    found = [path for path in ROOT.glob(f"*/*/src/{package}") if path.is_dir()]
    if not found or not rooms:
        return True
    room = found[0].joinpath(*rooms)
    return room.is_dir() or room.with_suffix(".py").is_file()


def main() -> int:
    """Check the rules; the exit status."""
    configure()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rules.toml")
        path.write_text(configuration(), encoding="utf-8")
        return 0 if lint_imports(str(path), no_logo=True, cache_dir=str(ROOT / ".import_linter_cache")) else 1


if __name__ == "__main__":
    sys.exit(main())
