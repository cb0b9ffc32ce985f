package model

// Tokens is a text as the model sees it.
type Tokens struct {
	// IDs are token ids with [CLS] and [SEP], at most the bundle's max_tokens. Empty: nothing is left of the text after
	// cleaning, and there is nothing to classify.
	IDs       []int32
	Truncated bool // the text had more tokens than max_tokens
	Unknown   int  // how many of IDs are [UNK]
}

// Label is a class and the probability that the model gives it.
type Label struct {
	Name  string  `json:"name"`
	Score float32 `json:"score"`
}

// Classification is what the model says of one text.
type Classification struct {
	// Labels are the classes chosen: one for a single-label model; none or several, highest score first, for a multi-label
	// model.
	Labels []Label
	// Scores are the probabilities of all labels, by the bundle's index.
	Scores []float32
	// Embedding is the pooled output of the encoder.
	Embedding []float32
}
