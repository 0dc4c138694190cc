package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// verifyReceipt proves the leaf of a receipt, and that of the decision beside it.
func verifyReceipt(key note.Verifier, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, signed, found := bytes.Cut(text, []byte("\n\n"))
	if !found {
		return errors.New("receipt: no empty line before the checkpoint")
	}
	tree, err := parseCheckpoint(key, signed)
	if err != nil {
		return err
	}
	lines := strings.Split(string(head), "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("receipt: no tlog-proof of version 1")
	}
	extra, err := decode(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return fmt.Errorf("receipt: extra: %w", err)
	}
	index, err := number(strings.TrimPrefix(lines[2], "index "))
	if err != nil {
		return fmt.Errorf("receipt: index: %w", err)
	}
	var shown struct {
		Leaf     string
		Decision *struct {
			Leaf  string
			Index int64
			Path  []string
		}
	}
	if err := json.Unmarshal(extra, &shown); err != nil {
		return fmt.Errorf("receipt: extra: %w", err)
	}
	if err := checkLeaf(tree, shown.Leaf, index, lines[3:]); err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	fmt.Printf("receipt: leaf %d of %d is proven\n", index, tree.N)
	if decision := shown.Decision; decision != nil {
		if err := checkLeaf(tree, decision.Leaf, decision.Index, decision.Path); err != nil {
			return fmt.Errorf("receipt: the decision: %w", err)
		}
		fmt.Printf("receipt: its decision, leaf %d, is proven\n", decision.Index)
	}
	return nil
}

func checkLeaf(tree tlog.Tree, leaf string, index int64, path []string) error {
	data, err := decode(leaf)
	if err != nil {
		return fmt.Errorf("leaf: %w", err)
	}
	var proof tlog.RecordProof
	for _, line := range path {
		hash, err := decodeHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(data))
}
