package event_test

import (
	"fmt"

	"flairstream/event"
)

// A system that knows nothing of CloudEvents sends plain text; the broker's own id identifies it.
func ExampleDecodeText() {
	text, err := event.DecodeText(nil, []byte("my card is lost"), event.Identity{ID: "17", Source: "nats:TEXTS"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(text.ID, text.Source, text.Text)
	fmt.Println(string(text.Text))
	// Output:
	// 17 nats:TEXTS [15 bytes of text]
	// my card is lost
}
