package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

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
