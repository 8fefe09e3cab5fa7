/* Boosted trees, sixteen rows at a time. */

#include <stdlib.h>

#include "core.h"

enum { BLOCK = 16 };

typedef float kb_floats __attribute__((vector_size(4 * BLOCK)));
typedef uint32_t kb_masks __attribute__((vector_size(4 * BLOCK)));

/* Every question of a tree is asked, and takes away the leaves that its answer rules out; the first that is left is
 * where the row ends (Lucchese et al. 2015, "QuickScorer"). No branch, and the answers of sixteen rows come at once.
 * block: width * 16, by feature. */
KB_WIDE static void trees_of_block(const kb_forest *forest, const kb_floats *block, int64_t rows, double *sums) {
    for (int64_t tree = 0; tree < forest->trees; tree++) {
        kb_masks left = {0};
        left = ~left;
        for (int64_t node = tree * forest->nodes; node < (tree + 1) * forest->nodes; node++) {
            kb_masks below = (kb_masks)(block[forest->feature[node]] <= forest->threshold[node]);
            left &= below | forest->mask[node];
        }
        const double *value = forest->value + tree * forest->leaves;
        for (int64_t i = 0; i < rows; i++) sums[i] += value[__builtin_ctz(left[i])];
    }
}

/* The sum of all trees for each of m rows of features. kbsearch/trees.py has seen that features and leaves are inside,
 * and that no row loses all leaves. */
int kb_trees(const kb_forest *forest, const float *features, int64_t m, double *scores) {
    float *block = aligned_alloc(64, (size_t)forest->width * BLOCK * sizeof(float));
    if (!block) return KB_NO_MEMORY;
    for (int64_t from = 0; from < m; from += BLOCK) {
        int64_t rows = m - from < BLOCK ? m - from : BLOCK;
        for (int64_t k = 0; k < forest->width; k++)
            for (int64_t i = 0; i < BLOCK; i++)
                block[k * BLOCK + i] = i < rows ? features[(from + i) * forest->width + k] : 0;
        for (int64_t i = 0; i < rows; i++) scores[from + i] = 0;
        trees_of_block(forest, (const kb_floats *)block, rows, scores + from);
    }
    free(block);
    return 0;
}
