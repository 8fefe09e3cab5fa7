/* What stands before the layers of the default encoder: words to piece ids, ids to embedded rows.
 *
 * Called through kbsearch/embed/pieces.py, which says what the arrays are. The rules of core.h hold here too: no global
 * state, nothing allocated, nothing read outside of an array whatever a file holds, and one order for each sum.
 */

#include <math.h>

#include "core.h"

/* ---- The best cut of words into pieces, by the trie that kbsearch/embed/tokenizer.py lays out ---------------------- */

#define KB_WORD 0x2581u /* begins each word */
#define KB_UNKNOWN 3    /* the id of what no piece covers */
#define KB_FREE UINT64_MAX

/* A hash table of the trie's edges: parent in bits 41 to 60, character in bits 20 to 40, child in bits 0 to 19. */
typedef struct {
    const uint64_t *edges;
    const float *scores;   /* of the piece of each number; a node below `pieces` is the end of that piece */
    int64_t size, pieces;  /* the root is the node `pieces` */
    double unknown;        /* the score of a character that no piece covers */
} kb_pieces;

/* Ends in any table, a full one too. */
static inline int64_t trie_child(const kb_pieces *trie, int64_t parent, uint32_t character) {
    uint64_t size = (uint64_t)trie->size, key = (uint64_t)parent << 21 | character;
    uint64_t place = (key * 0x9E3779B97F4A7C15u >> 32) * size >> 32;
    for (uint64_t step = 0; step < size && trie->edges[place] != KB_FREE; step++) {
        if (trie->edges[place] >> 20 == key) return (int64_t)(trie->edges[place] & 0xFFFFF);
        place = place + 1 < size ? place + 1 : 0;
    }
    return -1;
}

/* Ids of the pieces of all words of `text` (n characters, the first a KB_WORD), for each word the cut of the highest sum;
 * stops behind the word that reaches `limit`. best: n + 1; back: 2 * (n + 1); ids: n. Answers how many ids there are. */
int64_t kb_segment(const kb_pieces *trie, const uint32_t *text, int64_t n, int64_t limit, double *best, int32_t *back,
                   int32_t *ids) {
    int64_t count = 0;
    for (int64_t first = 0, last; first < n && count < limit; first = last) {
        for (last = first + 1; last < n && text[last] != KB_WORD;) last++;
        const uint32_t *word = text + first;
        int64_t length = last - first;
        /* 1. Forward: the best way to reach each position; back: the piece that leads there, and where it starts. Each
         * has a way from the start, so that step 2 ends also where a damaged score is no number. */
        best[0] = 0;
        for (int64_t i = 1; i <= length; i++) {
            best[i] = -1e30;
            back[2 * i] = KB_UNKNOWN;
            back[2 * i + 1] = (int32_t)(i - 1);
        }
        for (int64_t i = 0; i < length; i++) {
            int single = 0;
            int64_t node = trie->pieces;
            for (int64_t end = i; end < length;) {
                node = trie_child(trie, node, word[end++]);
                if (node < 0) break;
                if (node >= trie->pieces) continue;
                single |= end == i + 1;
                double score = best[i] + (double)trie->scores[node];
                if (score > best[end]) {
                    best[end] = score;
                    back[2 * end] = (int32_t)node;
                    back[2 * end + 1] = (int32_t)i;
                }
            }
            if (!single && best[i] + trie->unknown > best[i + 1]) {
                best[i + 1] = best[i] + trie->unknown;
                back[2 * i + 2] = KB_UNKNOWN;
                back[2 * i + 3] = (int32_t)i;
            }
        }
        /* 2. Backward: read the pieces off, then turn them round. Neighbours that nothing covers are one. */
        int64_t begin = count;
        for (int64_t at = length; at > 0; at = back[2 * at + 1])
            if (back[2 * at] != KB_UNKNOWN || count == begin || ids[count - 1] != KB_UNKNOWN) ids[count++] = back[2 * at];
        for (int64_t a = begin, b = count - 1; a < b; a++, b--) {
            int32_t id = ids[a];
            ids[a] = ids[b];
            ids[b] = id;
        }
    }
    return count;
}

/* ---- Embedded rows: 4-bit words, positions, layer-norm -------------------------------------------------------------- */

typedef struct {
    const uint8_t *table; /* height * blocks blocks: a half-precision scale, then 32 weights in 16 bytes */
    const float *places;  /* to be added to the first row, the second, and so on */
    const float *weight, *bias;
    int64_t height, blocks;
    float epsilon;
} kb_rows;

static inline float half(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16, rest = (uint32_t)(bits & 0x7FFF) << 13;
    float scale = 0x1p112f, value; /* moves the exponent's bias from 15 to 127, for subnormal halves too */
    memcpy(&value, &rest, sizeof value);
    value *= scale;
    uint32_t whole;
    memcpy(&whole, &value, sizeof whole);
    whole |= sign;
    memcpy(&value, &whole, sizeof value);
    return value; /* the weights hold no infinity and no NaN: the file's SHA-256 was compared */
}

/* The sum in numpy's order: halves down to at most 128 numbers, eight sums in each. n: a multiple of 8. */
static inline float ordered_sum(const float *x, int64_t n) {
    if (n > 128) {
        int64_t middle = n / 2 - n / 2 % 8;
        return ordered_sum(x, middle) + ordered_sum(x + middle, n - middle);
    }
    float r[8];
    for (int k = 0; k < 8; k++) r[k] = x[k];
    for (int64_t i = 8; i < n; i += 8)
        for (int k = 0; k < 8; k++) r[k] += x[i + k];
    return ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
}

/* Rows ids[0] to ids[n - 1] of the table plus the first n of `places`, normed: n * 32 * blocks floats. squares: a row. */
KB_WIDE int kb_embed(const kb_rows *from, const int32_t *ids, int64_t n, float *squares, float *rows) {
    int64_t blocks = from->blocks, width = 32 * blocks;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= from->height) return KB_CORRUPT;
        const uint8_t *packed = from->table + ids[i] * blocks * 18;
        float *x = rows + i * width;
        for (int64_t b = 0; b < blocks; b++, packed += 18) {
            float scale = half((uint16_t)(packed[0] | packed[1] << 8));
            for (int k = 0; k < 16; k++) {
                x[32 * b + k] = (float)((packed[2 + k] & 15) - 8) * scale;
                x[32 * b + 16 + k] = (float)((packed[2 + k] >> 4) - 8) * scale;
            }
        }
        for (int64_t k = 0; k < width; k++) x[k] += from->places[i * width + k];
        float mean = ordered_sum(x, width) / (float)width;
        for (int64_t k = 0; k < width; k++) x[k] -= mean;
        for (int64_t k = 0; k < width; k++) squares[k] = x[k] * x[k];
        float deviation = sqrtf(ordered_sum(squares, width) / (float)width + from->epsilon);
        for (int64_t k = 0; k < width; k++) x[k] = x[k] / deviation * from->weight[k] + from->bias[k];
    }
    return 0;
}

int kb_embed_version(void) { return 1; }
