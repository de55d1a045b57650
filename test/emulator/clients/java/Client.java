import com.google.api.client.http.HttpResponseException;
import com.google.api.gax.core.NoCredentialsProvider;
import com.google.api.gax.rpc.ApiException;
import com.google.cloud.location.GetLocationRequest;
import com.google.cloud.location.ListLocationsRequest;
import com.google.cloud.location.ListLocationsResponse;
import com.google.cloud.scheduler.v1.*;
import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.Empty;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import io.grpc.ManagedChannelBuilder;
import io.grpc.StatusRuntimeException;
import java.io.BufferedReader;
import java.io.InputStreamReader;

/** Makes the calls that standard input describes, one a line, with Google's client; prints what came of each. */
class Client {
  public static void main(String[] arguments) throws Exception {
    var begin = System.nanoTime();
    var isGrpc = arguments[0].equals("gRPC");
    var settings =
        (isGrpc
                ? CloudSchedulerSettings.newBuilder()
                    .setTransportChannelProvider(
                        CloudSchedulerSettings.defaultGrpcTransportProviderBuilder()
                            .setEndpoint(arguments[1])
                            .setChannelConfigurator(ManagedChannelBuilder::usePlaintext)
                            .build())
                : CloudSchedulerSettings.newHttpJsonBuilder().setEndpoint("http://" + arguments[1]))
            .setCredentialsProvider(NoCredentialsProvider.create())
            .build();
    var lines = new BufferedReader(new InputStreamReader(System.in));
    try (var client = CloudSchedulerClient.create(settings)) {
      for (var line = lines.readLine(); line != null; line = lines.readLine()) {
        var one = JsonParser.parseString(line).getAsJsonObject();
        var result = new JsonObject();
        try {
          var answer = call(client, one.get("method").getAsString(), one.get("request").toString());
          result.addProperty("code", "OK");
          result.add("response", JsonParser.parseString(JsonFormat.printer().print(answer)));
        } catch (ApiException error) {
          if (error.getCause() instanceof StatusRuntimeException answer) {
            result.addProperty("grpc", answer.getStatus().getCode().value());
            result.addProperty("message", answer.getStatus().getDescription());
          } else {
            // Over HTTP the client derives its code from the status; the error's own text is in the cause.
            var answer = (HttpResponseException) error.getCause();
            result.addProperty("http", answer.getStatusCode());
            result.addProperty("message", answer.getContent());
          }
        }
        // Since the client was made, for the benchmark of a first call.
        result.addProperty("milliseconds", (System.nanoTime() - begin) / 1e6);
        System.out.println(new Gson().toJson(result));
      }
    }
  }

  static Message call(CloudSchedulerClient client, String method, String json) throws Exception {
    switch (method) {
      case "CreateJob":
        return client.createJob(read(json, CreateJobRequest.newBuilder()).build());
      case "GetJob":
        return client.getJob(read(json, GetJobRequest.newBuilder()).build());
      case "UpdateJob":
        return client.updateJob(read(json, UpdateJobRequest.newBuilder()).build());
      case "PauseJob":
        return client.pauseJob(read(json, PauseJobRequest.newBuilder()).build());
      case "ResumeJob":
        return client.resumeJob(read(json, ResumeJobRequest.newBuilder()).build());
      case "RunJob":
        return client.runJob(read(json, RunJobRequest.newBuilder()).build());
      case "DeleteJob":
        client.deleteJob(read(json, DeleteJobRequest.newBuilder()).build());
        return Empty.getDefaultInstance();
      case "ListJobs":
        var list = ListJobsResponse.newBuilder();
        client.listJobs(read(json, ListJobsRequest.newBuilder()).build()).iterateAll().forEach(list::addJobs);
        return list.build();
      case "GetLocation":
        return client.getLocation(read(json, GetLocationRequest.newBuilder()).build());
      case "ListLocations":
        var found = ListLocationsResponse.newBuilder();
        client
            .listLocations(read(json, ListLocationsRequest.newBuilder()).build())
            .iterateAll()
            .forEach(found::addLocations);
        return found.build();
      default:
        throw new IllegalArgumentException("no such method: " + method);
    }
  }

  static <Builder extends Message.Builder> Builder read(String json, Builder builder) throws Exception {
    JsonFormat.parser().merge(json, builder);
    return builder;
  }
}
