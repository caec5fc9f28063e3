"""The command line that all commands share."""

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from .clients import ClientError
from .machine import REPOSITORY
from .resp import ServerError
from .servers import Server, ServerSpec, darter_specs, peer_spec, peers_on_path

DARTER_DEFAULT = REPOSITORY / "target" / "release" / "darter"
PORT_BASE_DEFAULT = 7600
REFERENCE_PREFERRED = "redis-7"


def new_parser(
    description: str, workers: str, reactors: str, routings: str = "auto"
) -> argparse.ArgumentParser:
    """A parser with the options that choose servers and say where results go."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    servers = parser.add_argument_group("servers")
    servers.add_argument(
        "--darter",
        type=Path,
        metavar="PATH",
        help="default: target/release/darter, left out with a note if it is not there",
    )
    default = "default: %(default)s"
    servers.add_argument("--workers", default=workers, metavar="N,...", help=default)
    servers.add_argument("--reactor", default=reactors, metavar="R,...", help=default)
    servers.add_argument("--routing", default=routings, metavar="R,...", help=default)
    servers.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="one more peer; NAME='PATH ARGUMENTS {port}' for one without Redis's options",
    )
    servers.add_argument(
        "--peers",
        metavar="NAME,...",
        help="only these of the peers found on PATH or given with --peer; 'none' for none",
    )
    servers.add_argument("--port-base", type=int, default=PORT_BASE_DEFAULT, metavar="N")
    results = parser.add_argument_group("results")
    results.add_argument("--quick", action="store_true", help="less of everything: a first look")
    results.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    results.add_argument("--svg", type=Path, metavar="FILE", help="draw them")
    results.add_argument(
        "--record", metavar="NAME", help="both of these, as bench/results/<date>-NAME.json and .svg"
    )
    return parser


def choose_servers(options: argparse.Namespace) -> list[ServerSpec]:
    """Peers first, then Darter's configurations. Names are unique."""
    specs = choose_peers(options) + choose_darter(options)
    names = [spec.name for spec in specs]
    if not specs:
        raise ValueError("no server to measure: see --darter, --peer and --peers")
    if len(set(names)) != len(names):
        raise ValueError(f"two servers of the same name: {', '.join(names)}")
    return specs


def choose_peers(options: argparse.Namespace) -> list[ServerSpec]:
    given = [peer_spec(text) for text in options.peer]
    given_names = {spec.name for spec in given}
    found = [spec for spec in peers_on_path() if spec.name not in given_names]
    specs = sorted(found, key=lambda spec: spec.name) + given
    if options.peers is None:
        return specs
    wanted = [] if options.peers == "none" else options.peers.split(",")
    unknown = set(wanted) - {spec.name for spec in specs}
    if unknown:
        raise ValueError(f"no such peer: {', '.join(sorted(unknown))}")
    return [spec for spec in specs if spec.name in wanted]


def choose_darter(options: argparse.Namespace) -> list[ServerSpec]:
    path = options.darter or DARTER_DEFAULT
    if options.darter is None and not path.exists():
        print(f"note: {path.relative_to(REPOSITORY)} is not built; measuring peers only")
        return []
    workers = [int(word) for word in options.workers.split(",")]
    reactors, routings = options.reactor.split(","), options.routing.split(",")
    return darter_specs(path.absolute(), workers, reactors, routings)


def choose_reference(specs: list[ServerSpec], name: str | None) -> str:
    """The server that ratios are taken to."""
    names = [spec.name for spec in specs]
    if name is not None and name not in names:
        raise ValueError(f"--reference {name} is not among {', '.join(names)}")
    return name or (REFERENCE_PREFERRED if REFERENCE_PREFERRED in names else names[0])


def start_all(stack: ExitStack, specs: list[ServerSpec], port_base: int) -> list[Server]:
    """Start one server per spec on consecutive ports; `stack` ends them."""
    return [
        stack.enter_context(Server(spec, port_base + index)) for index, spec in enumerate(specs)
    ]


def find_program(name: str, given: str | None) -> str | None:
    """A load generator: where the user says, else on PATH, else None."""
    path = shutil.which(given or name)
    if given and path is None:
        raise ValueError(f"no such program: {given}")
    return os.path.abspath(path) if path else None


def run_command(main: Callable[[list[str]], None]) -> None:
    """Run a command so that every way out of it passes the `with` blocks that end servers."""
    # Not left to Python, which ignores SIGINT when a script started it in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except (ClientError, OSError, ServerError, ValueError) as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
