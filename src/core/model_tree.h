/*
 * model_tree.h: running sums over 2^bits places, 8 children to a node, so that a node is one cache line.
 *
 * Entry j of a node is the sum of its children before j. A level is an array of nodes, the root first; child
 * c of node n is node 8 n + c of the level below, below the last level place 8 n + c. The root may have
 * fewer children: entries beyond them are out of reach.
 */
#ifndef FRESHET_CORE_MODEL_TREE_H
#define FRESHET_CORE_MODEL_TREE_H

#include <stdint.h>

enum { FRESHET_TREE_BITS = 3, FRESHET_TREE_CHILDREN = 1 << FRESHET_TREE_BITS };

/* Levels below the root. */
static inline unsigned freshet_tree_depth(unsigned bits) {
  return (bits + FRESHET_TREE_BITS - 1) / FRESHET_TREE_BITS - 1;
}

/* Entries of the level that has `below` levels under it. */
static inline uint64_t freshet_tree_entries(unsigned bits, unsigned below) {
  const uint64_t entries = (uint64_t)1 << (bits - FRESHET_TREE_BITS * below);
  return entries < FRESHET_TREE_CHILDREN ? FRESHET_TREE_CHILDREN : entries;
}

/* The node [FRESHET_TREE_CHILDREN] of the last level that the place is in. */
static inline const int64_t* freshet_tree_leaf(const int64_t* tree, unsigned bits, uint64_t place) {
  for (unsigned below = freshet_tree_depth(bits); below > 0; below--)
    tree += freshet_tree_entries(bits, below);
  return tree + place / FRESHET_TREE_CHILDREN * FRESHET_TREE_CHILDREN;
}

/* Makes a tree with all sums 0, 64-byte aligned; a large one is made at once, since no sum is written. bits >= 1. */
int64_t* freshet_tree_create(unsigned bits);
void freshet_tree_free(int64_t* tree); /* NULL is allowed */
uint64_t freshet_tree_bytes(unsigned bits);
void freshet_tree_add(int64_t* tree, unsigned bits, uint64_t place, int64_t gain);

#endif
