#!/usr/bin/env python3
"""A toy application in any team's language: it takes CloudEvents over HTTP and writes their effects to PostgreSQL.

Standard library only; its database driver is psql as a child process. With `--once` it records each id in the transaction
of its effect, by the one statement that `dedupe: verify` asks for. The effects have no unique constraint: what happens twice
is seen twice.

    application.py --database postgres://… [--once] [--port 0] [--sessions 4] [--transient 0.02] [--reject 0.001]

Prints `PORT=…` and `PID=…` when it listens. Kill it as you like.
"""

import argparse
import hashlib
import json
import os
import queue
import random
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TABLE = """set client_min_messages = warning;
create table if not exists effect (
    n bigint generated always as identity,
    event_id text not null,
    key text,
    position text not null,
    attempt int not null,
    body text not null
);"""


class Refused(Exception):
    """An SQLSTATE."""


class Session:
    """One psql, one connection."""

    def __init__(self, url):
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=0", url]
        pipe = subprocess.PIPE
        self.psql = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8", bufsize=1)
        self.number = 0

    def run(self, sql):
        """Runs one statement, which is one transaction."""
        self.number += 1
        end = f"end-{self.number}"
        self.psql.stdin.write(f"{sql}\n\\echo {end} :ERROR :SQLSTATE\n")
        self.psql.stdin.flush()
        for line in self.psql.stdout:
            word, *rest = line.split()[:3] or [""]
            if word == end:
                if rest[0] != "false":
                    raise Refused(rest[1])
                return
        raise Refused("08006")


class Sessions:
    """A few of them, shared by all requests."""

    def __init__(self, url, count):
        self.url = url
        self.idle = queue.Queue()
        for _ in range(count):
            self.idle.put(None)

    def run(self, sql):
        session = self.idle.get() or Session(self.url)
        try:
            session.run(sql)
        except Refused as refused:
            # Class 08: the connection is gone.
            if str(refused).startswith(("08", "57")):
                session = None
            raise
        except OSError as error:
            session = None
            raise Refused("08006") from error
        finally:
            self.idle.put(session)


def literal(text):
    return "null" if text is None else "'" + text.replace("'", "''") + "'"


def effect(headers, body, once):
    columns = [headers.get("ce-id"), headers.get("ce-subject"), headers.get("twinbox-position")]
    values = ", ".join(literal(column) for column in columns)
    values += f", {int(headers.get('twinbox-attempt', '0'))}, {literal(body)}"
    insert = "insert into effect (event_id, key, position, attempt, body)"
    if not once:
        return f"{insert} values ({values});"
    token = literal(headers.get("twinbox-once"))
    return f"with once as materialized (select twinbox.once({token}) as first) {insert} select {values} from once where first;"


def refuses(event_id, share):
    """The same events for ever."""
    digest = hashlib.sha256(event_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


class Application(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.answer(200)

    def do_POST(self):
        options = self.server.options
        body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode("utf-8")
        if refuses(self.headers.get("ce-id", ""), options.reject):
            return self.answer(422, "https://toy.example/refused", "this event is refused for good")
        if random.random() < options.transient:
            return self.answer(503, "https://toy.example/busy", "busy, come again")
        try:
            self.server.sessions.run(effect(self.headers, body, options.once))
        except Refused as refused:
            return self.answer(500, "https://toy.example/sql", f"SQLSTATE {refused}")
        return self.answer(204)

    def answer(self, status, kind=None, title=None):
        body = b"" if kind is None else json.dumps({"type": kind, "title": title}).encode()
        self.send_response(status)
        if body:
            self.send_header("content-type", "application/problem+json")
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--transient", type=float, default=0.0)
    parser.add_argument("--reject", type=float, default=0.0)
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()
    server = Server(("127.0.0.1", options.port), Application)
    server.options = options
    server.sessions = Sessions(options.database, options.sessions)
    server.sessions.run(TABLE)
    print(f"PORT={server.server_address[1]} PID={os.getpid()}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
