package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Levels of the tree within a tile, and so 256 leaves of a bundle (tlog-tiles, "Merkle Tree").
const tileHeight = 8

// tileFiles reads tiles from a folder.
type tileFiles string

// Height is how many levels of the tree a tile has.
func (dir tileFiles) Height() int { return tileHeight }

// SaveTiles keeps nothing: the folder has them.
func (dir tileFiles) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles reads each from its file; whether the hashes are the log's is for TileHashReader to judge.
func (dir tileFiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range tiles {
		// As tlog-tiles has it, without the height that Go puts in front.
		path := "tile/" + strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight))
		data, err := readWidth(string(dir), path, tile.W)
		if err != nil {
			return nil, err
		}
		if want := tile.W * tlog.HashSize; len(data) > want && tile.W < 1<<tileHeight {
			// Of a tile that is full by now, the part that this tree has.
			data = data[:want]
		}
		read = append(read, data)
	}
	return read, nil
}

// readLeaves reads the log's first leaves from its bundles (tlog-tiles, "Log entries").
func readLeaves(dir string, size int64) ([][]byte, error) {
	var leaves [][]byte
	for bundle := int64(0); bundle<<tileHeight < size; bundle++ {
		width := size - bundle<<tileHeight
		if width > 1<<tileHeight {
			width = 1 << tileHeight
		}
		path := strings.Replace(tlog.Tile{H: tileHeight, L: 0, N: bundle, W: int(width)}.Path(), "8/0", "entries", 1)
		data, err := readWidth(dir, path, int(width))
		if err != nil {
			return nil, err
		}
		for ; width > 0; width-- {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				return nil, fmt.Errorf("%s breaks off", path)
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			leaves, data = append(leaves, data[2:end]), data[end:]
		}
	}
	return leaves, nil
}

// readWidth reads a file; of a part of a tile, the whole tile where there is one by now.
func readWidth(dir, path string, width int) ([]byte, error) {
	if whole := strings.TrimSuffix(path, fmt.Sprintf(".p/%d", width)); whole != path {
		if data, err := os.ReadFile(filepath.Join(dir, whole)); err == nil {
			return data, nil
		}
	}
	return os.ReadFile(filepath.Join(dir, path))
}
