/*
 * model_tree.c: the memory of a tree of running sums, and adding to it. Reading it is inline, in
 * model_tree.h and in the kernels. It must not know what is summed.
 */
#include "core/model_tree.h"

#include "core/table.h"
#include "freshet/status.h"

static const int64_t out_of_reach = INT64_MAX / 2; /* leaves room for gains */

uint64_t freshet_tree_bytes(unsigned bits) {
  uint64_t entries = 0;
  for (unsigned below = 0; below <= freshet_tree_depth(bits); below++) {
    entries += freshet_tree_entries(bits, below);
  }
  return entries * sizeof(int64_t);
}

int64_t* freshet_tree_create(unsigned bits) {
  int64_t* tree = freshet_table_grow(NULL, freshet_tree_bytes(bits) / sizeof *tree, sizeof *tree);
  FRESHET_ASSERT(tree != NULL);
  const uint64_t children = (uint64_t)1 << (bits - FRESHET_TREE_BITS * freshet_tree_depth(bits));
  for (uint64_t i = children; i < FRESHET_TREE_CHILDREN; i++) tree[i] = out_of_reach;
  return tree;
}

void freshet_tree_free(int64_t* tree) {
  freshet_table_free(tree);
}

void freshet_tree_add(int64_t* tree, unsigned bits, uint64_t place, int64_t gain) {
  for (unsigned below = freshet_tree_depth(bits) + 1; below-- > 0;) {
    const uint64_t at = place >> (FRESHET_TREE_BITS * below);
    int64_t* node = tree + at / FRESHET_TREE_CHILDREN * FRESHET_TREE_CHILDREN;
    const int64_t child = (int64_t)(at % FRESHET_TREE_CHILDREN);
    for (int64_t i = 0; i < FRESHET_TREE_CHILDREN; i++) node[i] += gain & -(int64_t)(i > child);
    tree += freshet_tree_entries(bits, below);
  }
}
