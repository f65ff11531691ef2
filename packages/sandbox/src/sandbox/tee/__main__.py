"""`python -m sandbox.tee`: the verb `tee` of `cutover-sandbox`, without the rest of the world."""

import argparse
import sys

from sandbox.tee import command

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.tee",
        description="a guest agent whose quotes verify under a test root",
    )
    command.add_tee_arguments(parser)
    sys.exit(command.run_tee(parser.parse_args()))
