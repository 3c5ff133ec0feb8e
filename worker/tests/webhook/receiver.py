"""A receiver of webhooks: runs the example of docs/webhooks.md, and writes down what came, when, and what it answered.

    receiver.py PORT FOLDER        SPOOL_WEBHOOK_SECRET is the secret, FOLDER/receive.py the example

RECEIVER_CERTIFICATE  file with a certificate and its key: then it speaks TLS

FOLDER/answers.json   what to answer next, one entry a request, taken from the front; when it is empty the example answers.
                      {"status": 500, "delay_s": 2, "headers": {"Retry-After": "60"}}
FOLDER/log.jsonl      two lines a request: when it has begun, and when it was answered.
"""

import json
import os
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, folder = int(sys.argv[1]), sys.argv[2]
sys.path.insert(0, folder)
import receive  # noqa: E402  the example

lock = threading.Lock()


def note(line):
    with lock, open(os.path.join(folder, "log.jsonl"), "a") as log:
        log.write(json.dumps(line) + "\n")


def next_answer():
    path = os.path.join(folder, "answers.json")
    with lock:
        try:
            with open(path) as file:
                answers = json.load(file)
        except FileNotFoundError:
            return {}
        answer = answers.pop(0) if answers else {}
        with open(path + ".new", "w") as file:
            json.dump(answers, file)
        os.replace(path + ".new", path)
        return answer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(204, {})

    def do_POST(self):
        begun = time.monotonic()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        line = {"id": headers.get("webhook-id"), "body": body.decode(), "headers": headers, "begun": begun}
        try:
            # What is read here counts only when this receiver answers that it has it.
            receive.webhook.verify(body, headers)
            line["verified"] = True
        except Exception as error:  # noqa: BLE001  whatever it is, it is written down
            line["verified"], line["why"] = False, repr(error)
        # Before the answer: who is killed over it has still seen it, and knows whether to believe it.
        note(line)
        wanted = next_answer()
        time.sleep(wanted.get("delay_s", 0))
        status = wanted.get("status")
        if status is None and self.path == "/compatibility":
            status = 200
        if status is None:
            try:
                status = receive.receive(body, headers)
            except Exception as error:  # noqa: BLE001
                status, line["why"] = 400, repr(error)
        line["status"], line["ended"] = status, time.monotonic()
        note(line)
        self.answer(status, wanted.get("headers", {}))

    def answer(self, status, headers):
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()
        except OSError:
            pass  # whoever asked has died

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", port), Handler)
if "RECEIVER_CERTIFICATE" in os.environ:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["RECEIVER_CERTIFICATE"])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
