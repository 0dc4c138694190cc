// Verifies a decision log as others would: by golang.org/x/mod/sumdb/note and tlog, the libraries that Go's own
// checksum database rests on. Nothing of ours is in them.
//
//	verify -log-key VKEY [-tiles DIR [-earlier CHECKPOINT]] [-receipt FILE] [-entries FILE -checkpoint CHECKPOINT]
//
// VKEY is the log's Ed25519 key, the first of `decision_log` in the federation's root document. DIR is a folder that
// c2sp.org/tlog-tiles describes: every leaf of it is proven from its tiles. CHECKPOINT is one that was kept before, which
// the log has to continue. The FILE of -receipt is a receipt; that of -entries a membership log, an entry to a line, whose
// tree has to be that of its CHECKPOINT.
//
// It exits with 0 and says what holds, or with 1 and says what does not.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	key := flag.String("log-key", "", "the log's Ed25519 key, as a vkey")
	tiles := flag.String("tiles", "", "a folder with `checkpoint` and `tile/`")
	earlier := flag.String("earlier", "", "an earlier checkpoint of the log")
	receipt := flag.String("receipt", "", "a receipt")
	entries := flag.String("entries", "", "a log as a file, an entry to a line")
	checkpoint := flag.String("checkpoint", "", "the checkpoint of that file")
	flag.Parse()
	if *key == "" || flag.NArg() > 0 || *earlier != "" && *tiles == "" || (*entries == "") != (*checkpoint == "") {
		flag.Usage()
		os.Exit(2)
	}
	err := verify(*key, *tiles, *earlier, *receipt)
	if err == nil && *entries != "" {
		err = verifyEntries(*key, *entries, *checkpoint)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}

func verify(vkey, tiles, earlier, receipt string) error {
	key, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	if tiles != "" {
		if err := verifyLog(key, tiles, earlier); err != nil {
			return err
		}
	}
	if receipt == "" {
		return nil
	}
	return verifyReceipt(key, receipt)
}

// verifyLog proves every leaf of the log from its tiles, and that it continues an earlier checkpoint.
func verifyLog(key note.Verifier, dir, earlier string) error {
	tree, err := openCheckpoint(key, filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	// It reads no hash that does not lead to the tree's root.
	hashes := tlog.TileHashReader(tree, tileFiles(dir))
	leaves, err := readLeaves(dir, tree.N)
	if err != nil {
		return err
	}
	for index, leaf := range leaves {
		proof, err := tlog.ProveRecord(tree.N, int64(index), hashes)
		if err != nil {
			return fmt.Errorf("leaf %d: %w", index, err)
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, int64(index), tlog.RecordHash(leaf)); err != nil {
			return fmt.Errorf("leaf %d: %w", index, err)
		}
	}
	fmt.Printf("log: %d leaves, each proven from the tiles\n", len(leaves))
	if earlier == "" {
		return nil
	}
	old, err := openCheckpoint(key, earlier)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveTree(tree.N, old.N, hashes)
	if err != nil {
		return fmt.Errorf("from %d to %d leaves: %w", old.N, tree.N, err)
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return fmt.Errorf("from %d to %d leaves: %w", old.N, tree.N, err)
	}
	fmt.Printf("growth: %d leaves continue the %d of before\n", tree.N, old.N)
	return nil
}

// verifyEntries builds the tree over the entries of a file, and holds it against a checkpoint.
func verifyEntries(vkey, path, checkpoint string) error {
	key, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(key, checkpoint)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var hashes storedHashes
	entries := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	if int64(len(entries)) < tree.N {
		return fmt.Errorf("%d entries, and the checkpoint is of %d", len(entries), tree.N)
	}
	for index, entry := range entries[:tree.N] {
		more, err := tlog.StoredHashes(int64(index), entry, &hashes)
		if err != nil {
			return err
		}
		hashes = append(hashes, more...)
	}
	root, err := tlog.TreeHash(tree.N, &hashes)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return errors.New("the entries have another root than the checkpoint")
	}
	fmt.Printf("entries: %d have the root that was signed\n", tree.N)
	return nil
}

// storedHashes are all hashes of a tree, in the order of tlog.
type storedHashes []tlog.Hash

// ReadHashes reads them by their place in that order.
func (all *storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var read []tlog.Hash
	for _, index := range indexes {
		if index < 0 || index >= int64(len(*all)) {
			return nil, fmt.Errorf("hash %d is not there", index)
		}
		read = append(read, (*all)[index])
	}
	return read, nil
}

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

func openCheckpoint(key note.Verifier, path string) (tlog.Tree, error) {
	signed, err := os.ReadFile(path)
	if err != nil {
		return tlog.Tree{}, err
	}
	return parseCheckpoint(key, signed)
}

// parseCheckpoint opens a checkpoint (c2sp.org/tlog-checkpoint) of the log that the key is named after. Signatures of keys
// that it does not know, such as ML-DSA-44 and those of witnesses, are no matter to note.Open.
func parseCheckpoint(key note.Verifier, signed []byte) (tlog.Tree, error) {
	opened, err := note.Open(signed, note.VerifierList(key))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(strings.TrimSuffix(opened.Text, "\n"), "\n")
	if len(lines) < 3 {
		return tlog.Tree{}, errors.New("checkpoint: fewer than three lines")
	}
	if lines[0] != key.Name() {
		return tlog.Tree{}, fmt.Errorf("checkpoint: of the log %q, not of %q", lines[0], key.Name())
	}
	size, err := number(lines[1])
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: size: %w", err)
	}
	root, err := decodeHash(lines[2])
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	return tlog.Tree{N: size, Hash: root}, nil
}

// number reads decimal digits in their one spelling.
func number(text string) (int64, error) {
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, err
	}
	if value < 0 || strconv.FormatInt(value, 10) != text {
		return 0, fmt.Errorf("%q is no number in its one spelling", text)
	}
	return value, nil
}

// decode reads base64 in its one spelling.
func decode(text string) ([]byte, error) {
	return base64.StdEncoding.Strict().DecodeString(text)
}

func decodeHash(text string) (tlog.Hash, error) {
	data, err := decode(text)
	if err != nil {
		return tlog.Hash{}, fmt.Errorf("hash: %w", err)
	}
	var hash tlog.Hash
	if copy(hash[:], data) != tlog.HashSize || len(data) != tlog.HashSize {
		return tlog.Hash{}, fmt.Errorf("hash: %d bytes", len(data))
	}
	return hash, nil
}
