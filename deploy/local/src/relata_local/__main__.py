"""Makes `python -m relata_local` the command `crm`."""

from relata_local.cli import main

main()
