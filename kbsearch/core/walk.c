/* A walk through a graph of neighbours (Malkov & Yashunin 2018, "Efficient and robust approximate nearest neighbor search
 * using Hierarchical Navigable Small World graphs", algorithms 2 and 5) over 8-bit codes; FAISS made both.
 *
 * Nearly all of its time is waiting for codes that lie all over the memory: those of a node's neighbours are asked for
 * some rows before they are compared, and the links of the next node while this one's neighbours are.
 */

#include <stdlib.h>

#include "core.h"

enum { AHEAD = 6, LINE = 64, MOST_LINKS = 1024, HIGHEST = 255 };

/* Best first: how near a node is, and whether its neighbours were looked at. */
typedef struct {
    int32_t score;
    uint32_t node; /* the highest bit: looked at */
} kb_near;

static const uint32_t LOOKED_AT = 1u << 31;

/* Inner products, in steps, of the codes of some nodes with a vector; what all have in common is left out. */
KB_WIDE void kb_scores_of(const uint8_t *restrict codes, int64_t width, const uint32_t *restrict nodes, int64_t n,
                          const int16_t *restrict steps, int32_t *restrict scores) {
    for (int64_t r = 0; r < AHEAD && r < n; r++)
        for (int64_t i = 0; i < width; i += LINE) __builtin_prefetch(codes + nodes[r] * width + i);
    for (int64_t r = 0; r < n; r++) {
        const uint8_t *code = codes + nodes[r] * width;
        if (r + AHEAD < n)
            for (int64_t i = 0; i < width; i += LINE) __builtin_prefetch(codes + nodes[r + AHEAD] * width + i);
        int32_t sum = 0;
        for (int64_t i = 0; i < width; i++) sum += (int32_t)code[i] * steps[i];
        scores[r] = sum;
    }
}

/* The neighbours of a node on a level; answers how many. */
static int64_t neighbours_of(const kb_graph *graph, uint32_t node, int64_t level, uint32_t *found) {
    uint64_t begin = graph->begins[node], end = graph->begins[node + 1];
    int64_t half = graph->level_links / 2, from = level ? graph->level_links + (level - 1) * half : 0;
    int64_t room = level ? half : graph->level_links, count = 0;
    if (begin > end || end > (uint64_t)graph->n_links || (uint64_t)(from + room) > end - begin) return KB_CORRUPT;
    const uint8_t *links = graph->links + 4 * (begin + (uint64_t)from);
    for (int64_t i = 0; i < room; i++) {
        int32_t other;
        memcpy(&other, links + 4 * i, sizeof other); /* a mapped file puts them anywhere */
        if (other < 0) break;
        if (other >= graph->n) return KB_CORRUPT;
        found[count++] = (uint32_t)other;
    }
    return count;
}

/* From the entry downhill through the upper levels; answers the node nearest to the vector that was met. */
static int64_t descend(const kb_graph *graph, const int16_t *steps, uint32_t *nodes, int32_t *scores) {
    uint32_t here = (uint32_t)graph->entry;
    int32_t best;
    kb_scores_of(graph->codes, graph->width, &here, 1, steps, &best);
    for (int64_t level = graph->top; level > 0;) {
        uint32_t before = here;
        int64_t m = neighbours_of(graph, here, level, nodes);
        if (m < 0) return m;
        kb_scores_of(graph->codes, graph->width, nodes, m, steps, scores);
        for (int64_t i = 0; i < m; i++)
            if (scores[i] > best) {
                best = scores[i];
                here = nodes[i];
            }
        level -= here == before;
    }
    return here;
}

/* Puts a node among the nearest, where it belongs; answers the place, or `most` when it is not among them. */
static int64_t put(kb_near *nearest, int64_t *count, int64_t most, int32_t score, uint32_t node) {
    int64_t low = 0, high = *count;
    if (high == most && score <= nearest[most - 1].score) return most;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (nearest[middle].score >= score) low = middle + 1;
        else high = middle;
    }
    *count += *count < most;
    memmove(nearest + low + 1, nearest + low, (size_t)(*count - 1 - low) * sizeof *nearest);
    nearest[low] = (kb_near){score, node};
    return low;
}

/* The k nearest nodes, by their codes, that a walk finds which keeps `reach` of them; answers how many. */
int64_t kb_walk(const kb_graph *graph, const float *vector, int64_t reach, int64_t k, int64_t *places) {
    if (graph->n < 1 || k < 1) return 0;
    if (graph->level_links > MOST_LINKS || graph->entry < 0 || graph->entry >= graph->n) return KB_CORRUPT;
    reach = reach < k ? k : reach;
    reach = reach < graph->n ? reach : graph->n;
    int64_t found = KB_NO_MEMORY, count = 0, next = 0;
    uint64_t *met = calloc((size_t)graph->n / 64 + 1, sizeof *met);
    kb_near *nearest = malloc((size_t)reach * sizeof *nearest);
    int16_t *steps = malloc((size_t)graph->width * sizeof *steps);
    uint32_t *nodes = malloc(MOST_LINKS * sizeof *nodes);
    int32_t *scores = malloc(MOST_LINKS * sizeof *scores);
    if (!met || !nearest || !steps || !nodes || !scores) goto end;
    kb_in_steps(vector, graph->span, graph->width, HIGHEST, steps);
    if ((found = descend(graph, steps, nodes, scores)) < 0) goto end;
    nodes[0] = (uint32_t)found;
    kb_scores_of(graph->codes, graph->width, nodes, 1, steps, scores);
    put(nearest, &count, reach, scores[0], nodes[0]);
    met[nodes[0] / 64] |= 1ull << nodes[0] % 64;
    while (next < count) {
        uint32_t here = nearest[next].node;
        nearest[next].node |= LOOKED_AT;
        int64_t m = neighbours_of(graph, here, 0, nodes), fresh = 0;
        if (m < 0) { found = m; goto end; }
        for (int64_t i = 0; i < m; i++) {
            uint64_t bit = 1ull << nodes[i] % 64, *word = met + nodes[i] / 64;
            int64_t is_fresh = !(*word & bit);
            *word |= bit;
            nodes[fresh] = nodes[i];
            fresh += is_fresh;
        }
        do next++; while (next < count && nearest[next].node & LOOKED_AT);
        uint64_t begin = next < count ? graph->begins[nearest[next].node] : 0;
        if (next < count && begin <= (uint64_t)graph->n_links)
            for (int64_t i = 0; i < 4 * graph->level_links; i += LINE)
                __builtin_prefetch((const char *)((uintptr_t)graph->links + 4 * begin + (uint64_t)i));
        kb_scores_of(graph->codes, graph->width, nodes, fresh, steps, scores);
        for (int64_t i = 0; i < fresh; i++) {
            int64_t place = put(nearest, &count, reach, scores[i], nodes[i]);
            if (place == reach) continue;
            __builtin_prefetch(graph->begins + nodes[i]);
            next = place < next ? place : next;
        }
    }
    found = k < count ? k : count;
    for (int64_t i = 0; i < found; i++) places[i] = nearest[i].node & ~LOOKED_AT;
end:
    free(met);
    free(nearest);
    free(steps);
    free(nodes);
    free(scores);
    return found;
}
