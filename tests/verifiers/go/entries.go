package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

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
