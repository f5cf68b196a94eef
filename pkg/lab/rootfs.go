package lab

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// recipe is how the root file system of full guests is made, and what goes into it.
//
//go:embed image/*.sh
var recipe embed.FS

// suite is the Debian release of full guests: that of their kernel.
const suite = "bookworm"

// RootFS returns the root file system for full guests in the cache directory.
// It is built, in a minute or two, where the cache has none of this recipe;
// those of other recipes are removed. progress gets what the build says.
func RootFS(ctx context.Context, cache string, progress io.Writer) (string, error) {
	name, err := recipeName()
	if err != nil {
		return "", err
	}
	image := filepath.Join(cache, name)
	if _, err := os.Stat(image); err == nil {
		return image, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("cannot build the guest image: %v", err)
	}
	old, err := filepath.Glob(filepath.Join(cache, "root-*"))
	if err != nil {
		return "", err
	}
	for _, o := range old {
		if err := os.RemoveAll(o); err != nil {
			return "", fmt.Errorf("cannot remove an old guest image: %v", err)
		}
	}
	return image, buildRootFS(ctx, image, progress)
}

// recipeName names the image after everything that it is made of.
func recipeName() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, suite)
	err := fs.WalkDir(recipe, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := recipe.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n%s", path, len(b), b)
		return err
	})
	return "root-" + hex.EncodeToString(h.Sum(nil))[:12] + ".img", err
}

func buildRootFS(ctx context.Context, image string, progress io.Writer) error {
	dir, err := os.MkdirTemp(filepath.Dir(image), "recipe-")
	if err != nil {
		return fmt.Errorf("cannot build the guest image: %v", err)
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, recipe); err != nil {
		return fmt.Errorf("cannot build the guest image: %v", err)
	}
	root := strings.TrimSuffix(image, ".img") + ".tree"
	cmd := exec.CommandContext(ctx, "nice", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
		"sh", filepath.Join(dir, "image", "build.sh"), suite, root, image)
	cmd.Stdout, cmd.Stderr = progress, progress
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot build the guest image: %v", err)
	}
	return nil
}

// makeDisks makes a fresh overlay for every full guest.
func (l *Lab) makeDisks(ctx context.Context) error {
	if l.plan.Disk == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(l.disk("")), 0o755); err != nil {
		return fmt.Errorf("cannot make disks: %v", err)
	}
	for _, s := range l.plan.Servers {
		if _, err := run(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", l.plan.Disk, l.disk(s.Host)); err != nil {
			return fmt.Errorf("cannot make the disk of %s: %v", s.Host, err)
		}
	}
	return nil
}
