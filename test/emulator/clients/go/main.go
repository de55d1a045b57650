// Makes the calls that standard input describes, one a line, with Google's client for Go over gRPC; prints what came of each.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	scheduler "cloud.google.com/go/scheduler/apiv1"
	"cloud.google.com/go/scheduler/apiv1/schedulerpb"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/genproto/googleapis/cloud/location"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

func main() {
	ctx := context.Background()
	begin := time.Now()
	client, err := scheduler.NewCloudSchedulerClient(ctx,
		option.WithEndpoint(os.Args[1]),
		option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var one struct {
			Method  string
			Request json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			panic(err)
		}
		answer, err := call(ctx, client, one.Method, one.Request)
		result := map[string]any{"grpc": status.Code(err)}
		if err != nil {
			result["message"] = err.Error()
		} else if answer != nil {
			text, _ := protojson.Marshal(answer)
			result["response"] = json.RawMessage(text)
		}
		// Since the client was made, for the benchmark of a first call.
		result["milliseconds"] = float64(time.Since(begin).Microseconds()) / 1000
		text, _ := json.Marshal(result)
		fmt.Println(string(text))
	}
}

func call(ctx context.Context, client *scheduler.CloudSchedulerClient, method string, request []byte) (proto.Message, error) {
	switch method {
	case "CreateJob":
		return answer(ctx, request, &schedulerpb.CreateJobRequest{}, client.CreateJob)
	case "GetJob":
		return answer(ctx, request, &schedulerpb.GetJobRequest{}, client.GetJob)
	case "UpdateJob":
		return answer(ctx, request, &schedulerpb.UpdateJobRequest{}, client.UpdateJob)
	case "PauseJob":
		return answer(ctx, request, &schedulerpb.PauseJobRequest{}, client.PauseJob)
	case "ResumeJob":
		return answer(ctx, request, &schedulerpb.ResumeJobRequest{}, client.ResumeJob)
	case "RunJob":
		return answer(ctx, request, &schedulerpb.RunJobRequest{}, client.RunJob)
	case "GetLocation":
		return answer(ctx, request, &location.GetLocationRequest{}, client.GetLocation)
	case "DeleteJob":
		message := &schedulerpb.DeleteJobRequest{}
		read(request, message)
		return nil, client.DeleteJob(ctx, message)
	case "ListJobs":
		message := &schedulerpb.ListJobsRequest{}
		read(request, message)
		list := &schedulerpb.ListJobsResponse{}
		for jobs := client.ListJobs(ctx, message); ; {
			job, err := jobs.Next()
			if err == iterator.Done {
				return list, nil
			} else if err != nil {
				return nil, err
			}
			list.Jobs = append(list.Jobs, job)
		}
	case "ListLocations":
		message := &location.ListLocationsRequest{}
		read(request, message)
		list := &location.ListLocationsResponse{}
		for locations := client.ListLocations(ctx, message); ; {
			one, err := locations.Next()
			if err == iterator.Done {
				return list, nil
			} else if err != nil {
				return nil, err
			}
			list.Locations = append(list.Locations, one)
		}
	}
	panic("no such method: " + method)
}

func answer[Request, Answer proto.Message, Option any](ctx context.Context, text []byte, message Request,
	method func(context.Context, Request, ...Option) (Answer, error)) (proto.Message, error) {
	read(text, message)
	return method(ctx, message)
}

func read(text []byte, message proto.Message) {
	if err := protojson.Unmarshal(text, message); err != nil {
		panic(err)
	}
}
