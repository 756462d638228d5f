package main

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func TestOptions(t *testing.T) {
	o, err := parseOptions(strings.Fields("-rows latency,burst -rounds 2"), io.Discard)
	if err != nil || !slices.Equal(o.rows, []string{"latency", "burst"}) || o.rounds != 2 {
		t.Fatalf("got %+v, %v", o, err)
	}
	if !o.wants("burst") || o.wants("remove") {
		t.Error("rows that were not asked for are measured")
	}
	if o, _ := parseOptions(nil, io.Discard); !o.wants("scale-dirs") {
		t.Error("without a choice all rows are measured")
	}
	for _, args := range []string{"-rows bursts", "-rounds 0", "-reps 0", "burst", "-nothing"} {
		if _, err := parseOptions(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}

func TestKinds(t *testing.T) {
	list, missing, err := presentKinds([]string{floorName, openName})
	if err != nil || len(missing) > 0 || !slices.Equal(names(list), []string{floorName, openName}) {
		t.Errorf("got %v, %v, %v", names(list), missing, err)
	}
	if _, _, err := presentKinds([]string{"flor"}); err == nil {
		t.Error("an unknown column must be an error")
	}
	for _, k := range kinds() {
		if living := k.rows("idle"); living == (k.name == floorName || k.name == openName) {
			t.Errorf("%s: idle is %v", k.name, living)
		}
	}
}
