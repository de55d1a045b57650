"""Runs the newsletter through a virtual week, with the emulator's package and nothing else of its project."""

import json
import re
import subprocess
import urllib.request

import pytest

from newsletter import Service, jobs

parent = "projects/newsletter/locations/europe-west3"


class Emulator:
    def __init__(self, clock):
        command = ["node_modules/.bin/cloud-scheduler-emulator", "--port", "0", "--clock", clock]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = re.search(r"http://\S+", self.process.stdout.readline()).group()

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers)) as answer:
            return json.load(answer)

    def advance(self, **by):
        return self.ask("/emulator/v1/clock:advance", by)

    def stop(self):
        self.process.terminate()
        assert self.process.wait() == 0


@pytest.fixture
def service():
    service = Service()
    yield service
    service.stop()


@pytest.fixture
def emulator(service):
    # A Friday; in Berlin, daylight saving begins two days later.
    emulator = Emulator("2026-03-27T12:00:00Z")
    for name, (schedule, time_zone, _) in jobs.items():
        target = {"uri": f"{service.url}/jobs/{name}"}
        job = {"name": f"{parent}/jobs/{name}", "schedule": schedule, "timeZone": time_zone, "httpTarget": target}
        emulator.ask(f"/v1/{parent}/jobs", job)
    yield emulator
    emulator.stop()


def test_a_week_sends_one_newsletter_at_eight_in_berlin(service, emulator):
    emulator.advance(by="604800s")
    assert [tick for kind, tick in service.outbox if kind == "weekly"] == ["2026-03-30T06:00:00Z"]


def test_a_week_cleans_up_twice_a_day(service, emulator):
    emulator.advance(to="2026-04-03T12:00:00Z")
    ticks = [tick for kind, tick in service.outbox if kind == "clean-up"]
    assert len(ticks) == len(set(ticks)) == 14
    attempts = emulator.ask("/emulator/v1/attempts?limit=1000")["attempts"]
    assert {attempt["statusCode"] for attempt in attempts} == {204}
