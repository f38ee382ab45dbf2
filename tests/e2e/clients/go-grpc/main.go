// Calls of the service calls.v1.Calls: go-grpc-client PART ADDRESS AUTHORITY TOKEN. What it prints is the same with a gateway and
// without; AUTHORITY and TOKEN are empty without.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The service has no schema: its messages are bytes.
type bytes struct{}

func (bytes) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }

func (bytes) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte{}, data...)
	return nil
}

func (bytes) Name() string { return "proto" }

var connection *grpc.ClientConn

func at(name string) string { return "/calls.v1.Calls/" + name }

func call(ctx context.Context, name, message string) (string, error) {
	request, answer := []byte(message), []byte{}
	err := connection.Invoke(ctx, at(name), &request, &answer)
	return string(answer), err
}

func stream(ctx context.Context, name string) grpc.ClientStream {
	kind := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	opened, err := connection.NewStream(ctx, kind, at(name))
	must(err)
	return opened
}

func send(to grpc.ClientStream, message string) {
	request := []byte(message)
	must(to.SendMsg(&request))
}

// The next message, and whether there was one.
func receive(from grpc.ClientStream) (string, bool) {
	answer := []byte{}
	err := from.RecvMsg(&answer)
	if err == io.EOF {
		return "", false
	}
	must(err)
	return string(answer), true
}

func kinds(ctx context.Context) {
	answer, err := call(ctx, "Echo", "hello")
	must(err)
	fmt.Println(answer)
	count := stream(ctx, "Count")
	send(count, "one")
	send(count, "three")
	must(count.CloseSend())
	counted, _ := receive(count)
	fmt.Println(counted)
	numbers := stream(ctx, "Numbers")
	send(numbers, "5")
	must(numbers.CloseSend())
	for answer, more := receive(numbers); more; answer, more = receive(numbers) {
		fmt.Println(answer)
	}
	shout := stream(ctx, "Shout")
	for _, word := range []string{"one", "two", "three"} {
		// Each only when the one before was answered.
		send(shout, word)
		answer, _ := receive(shout)
		fmt.Println(answer)
	}
	must(shout.CloseSend())
	_, more := receive(shout)
	fmt.Println(more)
}

func deadline(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := call(ctx, "Slow", "")
	fmt.Println(status.Code(err))
}

// How many calls of Slow have begun, and how many are over.
func seen(ctx context.Context) (begun, over int) {
	answer, err := call(ctx, "Seen", "")
	must(err)
	words := strings.Fields(answer)
	begun, err = strconv.Atoi(words[0])
	must(err)
	over, err = strconv.Atoi(words[1])
	must(err)
	return begun, over
}

func cancelled(ctx context.Context) {
	begun, over := seen(ctx)
	waiting, cancel := context.WithCancel(ctx)
	ended := make(chan error)
	go func() {
		_, err := call(waiting, "Slow", "")
		ended <- err
	}()
	for now := begun; now == begun; now, _ = seen(ctx) {
	}
	cancel()
	fmt.Println(status.Code(<-ended))
	for now := over; now == over; _, now = seen(ctx) {
	}
	fmt.Println("the service has noticed")
}

func details(ctx context.Context) {
	var trailer metadata.MD
	request, answer := []byte{}, []byte{}
	err := connection.Invoke(ctx, at("Fail"), &request, &answer, grpc.Trailer(&trailer))
	told, _ := status.FromError(err)
	fmt.Println(told.Code(), told.Message(), len(told.Proto().GetDetails()), trailer.Get("x-why"))
}

// A call that is open until somebody ends it.
func held(ctx context.Context) {
	shout := stream(ctx, "Shout")
	send(shout, "one")
	answer, _ := receive(shout)
	fmt.Println(answer)
	ended := shout.RecvMsg(&[]byte{})
	told, _ := status.FromError(ended)
	fmt.Println(told.Code(), told.Message())
}

func refused(ctx context.Context) {
	_, err := call(ctx, "Echo", "")
	fmt.Println(status.Code(err) == codes.OK, status.Code(err))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	part, address, authority, token := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(bytes{})),
	}
	if authority != "" {
		options = append(options, grpc.WithAuthority(authority))
	}
	opened, err := grpc.NewClient("passthrough:///"+address, options...)
	must(err)
	connection = opened
	defer opened.Close()
	ctx := context.Background()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "hoop-token", token)
	}
	parts := map[string]func(context.Context){
		"kinds": kinds, "deadline": deadline, "cancelled": cancelled, "details": details, "held": held,
		"refused": refused,
	}
	parts[part](ctx)
}
