"""Who is who on GitHub: a login is a name that can change hands, an account's number is not.

Kept are the number behind each row of a split, as GitHub listed it when the split was made, and the
number that proved a login and linked a wallet to it. Where the two differ, the wallet is not the
contributor's. Where one of them is not known here (the proof was taken elsewhere), nothing is said.
"""

import sqlite3
import time
from collections.abc import Iterable, Mapping

SCHEMA = """
CREATE TABLE IF NOT EXISTS split_people (
  repo TEXT NOT NULL COLLATE NOCASE, login TEXT NOT NULL COLLATE NOCASE,
  github_id INTEGER NOT NULL, PRIMARY KEY (repo, login)
);
CREATE TABLE IF NOT EXISTS people (
  login TEXT PRIMARY KEY COLLATE NOCASE, github_id INTEGER NOT NULL, wallet TEXT NOT NULL,
  verified_at REAL NOT NULL
);
"""


class People:
    """The tables of people."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(SCHEMA)

    def remember_split(self, repo_url: str, rows: Iterable[tuple[str, int]]) -> None:
        """Keep whose the rows of a split are, instead of whose they were."""
        with self._db:
            self._db.execute("DELETE FROM split_people WHERE repo=?", (repo_url,))
            self._db.executemany(
                "INSERT OR REPLACE INTO split_people VALUES (?,?,?)",
                [(repo_url, login, number) for login, number in rows],
            )

    def remember_proof(self, login: str, github_id: int, wallet: str) -> None:
        """Keep which account proved this login, and the wallet it asked for."""
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO people VALUES (?,?,?,?)",
                (login, github_id, wallet, time.time()),
            )

    def of_split(self, repo_url: str) -> dict[str, int]:
        """The accounts behind a split's rows, by lower-case login; as far as they are known."""
        rows = self._db.execute(
            "SELECT login, github_id FROM split_people WHERE repo=?", [repo_url]
        )
        return {str(login).lower(): int(number) for login, number in rows}

    def proved(self, login: str, wallet: str) -> int:
        """The account that linked this very wallet to this login here; 0 if none did."""
        row = self._db.execute(
            "SELECT github_id FROM people WHERE login=? AND wallet=?", (login, wallet)
        ).fetchone()
        return int(row[0]) if row else 0

    def strangers(self, repo_url: str, wallets: Mapping[str, str]) -> frozenset[str]:
        """The logins, lower case, whose wallet another account linked than the contributor's."""
        known = self.of_split(repo_url)
        return frozenset(
            login
            for login, wallet in wallets.items()
            if (number := known.get(login.lower()))
            and self.proved(login, wallet) not in {0, number}
        )
