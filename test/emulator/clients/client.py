"""Makes the calls that standard input describes, one a line, with Google's client for Python; prints what came of each."""

import json
import re
import sys
import time

import grpc
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import AnonymousCredentials
from google.cloud import scheduler_v1
from google.cloud.location import locations_pb2
from google.cloud.scheduler_v1.services.cloud_scheduler import transports
from google.protobuf import json_format

transport, endpoint = sys.argv[1:]
begin = time.monotonic()
if transport == "gRPC":
    channel = transports.CloudSchedulerGrpcTransport(channel=grpc.insecure_channel(endpoint))
else:
    channel = transports.CloudSchedulerRestTransport(
        host=endpoint, url_scheme="http", credentials=AnonymousCredentials()
    )
client = scheduler_v1.CloudSchedulerClient(transport=channel)


def call(method, request):
    run = getattr(client, re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower())
    if "Location" in method:
        message = json_format.ParseDict(request, getattr(locations_pb2, f"{method}Request")())
        return json_format.MessageToDict(run(request=message))
    message = getattr(scheduler_v1, f"{method}Request").from_json(json.dumps(request))
    answer = run(request=message)
    if method == "ListJobs":
        return {"jobs": [to_dict(job) for job in answer]}
    return {} if answer is None else to_dict(answer)


def to_dict(message):
    return json_format.MessageToDict(type(message).pb(message))


for line in sys.stdin:
    one = json.loads(line)
    try:
        result = {"http": 200, "response": call(one["method"], one["request"])}
    except GoogleAPICallError as error:
        result = {"http": int(error.code), "message": error.message}
    # Since the client was made, for the benchmark of a first call.
    result["milliseconds"] = (time.monotonic() - begin) * 1000
    print(json.dumps(result), flush=True)
