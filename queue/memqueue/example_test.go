package memqueue_test

import (
	"context"
	"fmt"
	"time"

	"flairstream/queue"
	"flairstream/queue/memqueue"
)

func Example() {
	ctx := context.Background()
	q := memqueue.New("texts", memqueue.Options{Lease: 30 * time.Second})
	if _, err := q.Sink().Publish(ctx, queue.Message{ID: "1", Body: []byte("hello")}); err != nil {
		fmt.Println(err)
		return
	}
	source := q.Source()
	deliveries, err := source.Receive(ctx, 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range deliveries {
		fmt.Printf("%s, attempt %d\n", d.Body, d.Attempt)
	}
	if err := source.Settle(ctx, queue.Settlement{Delivery: deliveries[0], Outcome: queue.Ack}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(q.Len(), "left")
	// Output:
	// hello, attempt 1
	// 0 left
}
