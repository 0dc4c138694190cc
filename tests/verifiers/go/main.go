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
	"flag"
	"fmt"
	"os"
	"path/filepath"

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
