"""A service of somebody else's: a newsletter whose jobs are declared where they are written."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

jobs = {}


def scheduled(cron, time_zone="UTC"):
    """Declares a job, as APScheduler's decorators do."""

    def declare(run):
        jobs[run.__name__.replace("_", "-")] = (cron, time_zone, run)
        return run

    return declare


@scheduled("0 8 * * MON", "Europe/Berlin")
def send_weekly(outbox, tick):
    outbox.append(("weekly", tick))


@scheduled("30 6,18 * * *")
def clean_up(outbox, tick):
    outbox.append(("clean-up", tick))


class Service:
    def __init__(self):
        self.outbox = outbox = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                _, _, run = jobs[self.path.rpartition("/")[2]]
                run(outbox, self.headers["X-CloudScheduler-ScheduleTime"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
