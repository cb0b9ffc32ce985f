package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flairstream/internal/machine"
)

func TestDiagnosisForPeople(t *testing.T) {
	d := &diagnosis{
		Bundle: "support 1.2", Graph: "model_int8.onnx", CPU: "Example 9000", Instructions: []string{"avx2", "avx512_vnni"},
		Cores: 4, Quota: 1.5, MemoryLimit: 256 << 20, Memory: 8 << 30, Slots: 2, BatchTexts: 8, BatchTokens: 512, LookAheadTokens: 16384,
		GoldenTexts: 100, DifferenceGraph: 0.001, DifferenceFlair: 0.2, OpenSeconds: 2.25, MeasureSeconds: 1,
		PeakMemory: 200 << 20, ContainerMemory: 384 << 20,
		Speed: []lengthSpeed{{8, 8, 0.004, 4000}, {512, 1, 0.125, 16}},
	}
	d.Advice = d.advise(machine.Machine{Quota: d.Quota, MemoryLimit: d.MemoryLimit, Flags: d.Instructions})
	var got strings.Builder
	if err := d.write(&got); err != nil {
		t.Fatal(err)
	}
	head, advice, _ := strings.Cut(got.String(), "\nFLAIRSTREAM_SLOTS")
	if diff := cmp.Diff(diagnosisForPeople, head); diff != "" {
		t.Errorf("the table (-want +got):\n%s", diff)
	}
	for _, want := range []string{"workers take 2 here", "at least 384 MiB", "limit of 256 MiB is too low", "prefer 1 or 2"} {
		if !strings.Contains(advice, want) {
			t.Errorf("the advice does not say %q:\n%s", want, advice)
		}
	}
}

const diagnosisForPeople = `bundle       support 1.2, model_int8.onnx, ONNX Runtime 1.29.0
processor    Example 9000; avx2 avx512_vnni
cores        4, a quota of 1.5; slots: 2
memory       8192 MiB, a limit of 256 MiB
proof        100 golden texts: token ids equal; probabilities within 0.001 of the graph's own, 0.2 of Flair's, 0 in any batch
start        2.2 s to open and prove, 1.0 s to measure
peak memory  200 MiB
batches      at most 8 texts and 512 tokens; 16384 tokens wait for a slot

  tokens  texts in a batch  ms a batch  texts/s  workers for 1,000 texts/s
       8                 8         4.0     4000                          1
     512                 1       125.0       16                         79
`

func TestAdviceIsGivenWhereItHelps(t *testing.T) {
	d := &diagnosis{Graph: "model.onnx", Slots: 4, ContainerMemory: 384 << 20}
	advice := d.advise(machine.Machine{Quota: 4, MemoryLimit: 1 << 30})
	if len(advice) != 3 {
		t.Errorf("whole cores, enough memory and an fp32 graph: %q, want nothing but what to set", advice)
	}
}

func TestAdviceOnTheQuota(t *testing.T) {
	for quota, want := range map[float64]string{0.5: "prefer 1.", 1.5: "prefer 1 or 2.", 2.25: "prefer 2 or 3."} {
		advice := strings.Join((&diagnosis{}).advise(machine.Machine{Quota: quota}), "\n")
		if !strings.Contains(advice, want) {
			t.Errorf("a quota of %v cores: %q, want %q", quota, advice, want)
		}
	}
}

func TestInt8Advice(t *testing.T) {
	for _, test := range []struct{ arch, flags, want string }{
		{"amd64", "avx2 avx512_vnni", "VNNI): the int8 graph runs at its best"},
		{"amd64", "avx2 avx_vnni", "VNNI): the int8 graph runs at its best"},
		{"amd64", "avx2 avx512f", "has no VNNI"},
		{"amd64", "", "has no AVX2"},
		{"arm64", "asimd asimddp", "(dot product): the int8 graph runs at its best"},
		{"arm64", "asimd", "no int8 dot product"},
	} {
		if got := int8Advice(test.arch, strings.Fields(test.flags)); !strings.Contains(got, test.want) {
			t.Errorf("on %s with %q: %q, want %q", test.arch, test.flags, got, test.want)
		}
	}
	if got := int8Advice("riscv64", nil); got != "" {
		t.Errorf("on a processor that nothing is known of: %q", got)
	}
}

func TestContainerMemory(t *testing.T) {
	sizes := []int64{containerMemory(100 << 20), containerMemory(200 << 20), containerMemory(900 << 20)}
	if !slices.Equal(sizes, []int64{256 << 20, 384 << 20, 1152 << 20}) {
		t.Errorf("containers for models of 100, 200 and 900 MiB have %v bytes", sizes)
	}
}
