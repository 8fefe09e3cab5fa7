/* The part of a passage that is shown, as kbsearch/snippet.py says. */

#include <stdlib.h>

#include "core.h"

enum { MOST_PLACES = 4000 };

/* What is shown of a row: characters, whether something of its first and last sentence is left out, and its marks. */
typedef struct {
    int32_t start, end, cut_before, cut_after;
    int64_t marks_end;
} kb_window;

/* Terms that were seen, by the number of the round in which. */
typedef struct {
    const kb_question *question;
    uint32_t *seen, round;
} kb_terms;

/* Terms add up in the order of their numbers, for equal windows to weigh the same whatever comes first. */
static double weight_of(const kb_terms *terms) {
    double sum = 0;
    for (int64_t i = 0; i < terms->question->n; i++)
        if (terms->seen[i] == terms->round) sum += terms->question->idf[i];
    return sum;
}

/* First and last sentence of the window with the greatest weight of distinct terms; the earliest of equals.
 * ends_of: for each sentence, how many matches begin before its end. */
static void best_window(const uint16_t *places, int64_t n, const kb_match *matches, const int64_t *ends_of,
                        kb_terms *terms, int64_t limit, int64_t *first, int64_t *last) {
    double best = -1;
    for (int64_t from = 0; from < n; from++) {
        int64_t to = from;
        while (to + 1 < n && places[2 * (to + 1) + 1] - places[2 * from] <= limit) to++;
        terms->round++;
        int64_t any = 0;
        for (int64_t k = from ? ends_of[from - 1] : 0; k < ends_of[to]; k++, any = 1)
            terms->seen[matches[k].term] = terms->round;
        double weight = any ? weight_of(terms) : 0;
        if (weight > best) {
            best = weight;
            *first = from;
            *last = to;
        }
        if (to == n - 1) break; /* what begins later holds no more */
    }
}

/* The part of one long sentence with the greatest weight of distinct terms, with some text before the first. */
static void cut_sentence(int32_t *start, int32_t *end, const kb_match *matches, int64_t n, kb_terms *terms,
                         int32_t room) {
    int32_t begin = *start, stop;
    double best = -1;
    for (int64_t k = 0; k < n; k++) {
        if (matches[k].start < *start || matches[k].start >= *end) continue;
        int32_t at = matches[k].start - room / 4 < *end - room ? matches[k].start - room / 4 : *end - room;
        at = at > *start ? at : *start;
        terms->round++;
        for (int64_t other = k; other < n && matches[other].start < *end && matches[other].end <= at + room; other++)
            terms->seen[matches[other].term] = terms->round;
        double weight = weight_of(terms);
        if (weight > best) {
            begin = at;
            best = weight;
        }
    }
    stop = *end < begin + room ? *end : begin + room;
    for (int64_t k = 0; k < n; k++) /* a marked word is shown whole or not at all */
        if (matches[k].start >= *start && matches[k].start < *end && matches[k].start < stop && stop < matches[k].end &&
            matches[k].start > begin)
            stop = matches[k].start;
    *start = begin;
    *end = stop;
}

/* What is shown of the bodies of n rows within `limit` characters, of which `room` are left beside two ellipses.
 * marks: pairs of characters, ascending, `space` pairs at most, of all rows one after another. Answers how many. */
int64_t kb_windows(const kb_tokens *tokens, const kb_question *question, const int64_t *rows, int64_t n, int64_t limit,
                   int64_t room, kb_window *windows, int32_t *marks, int64_t space) {
    int64_t failed = 0, count = 0, sentences = 1;
    limit = limit < INT32_MAX / 4 ? limit : INT32_MAX / 4;
    room = room < INT32_MAX / 4 ? room : INT32_MAX / 4;
    for (int64_t r = 0; r < n; r++) {
        if (rows[r] < 0 || rows[r] >= tokens->n_rows || tokens->rows[rows[r]].body >= tokens->n_texts) return KB_CORRUPT;
        const kb_text *text = tokens->texts + tokens->rows[rows[r]].body;
        if (text->sentences + (int64_t)text->places > tokens->n_places || text->places % 2) return KB_CORRUPT;
        sentences = text->places > sentences ? text->places : sentences;
    }
    kb_match *matches = malloc(MOST_PLACES * sizeof *matches);
    int64_t *ends_of = malloc((size_t)sentences * sizeof *ends_of), found;
    kb_terms terms = {question, calloc((size_t)question->n + 1, sizeof(uint32_t)), 0};
    if (!matches || !ends_of || !terms.seen) failed = KB_NO_MEMORY;
    for (int64_t r = 0; r < n && !failed; r++) {
        const kb_text *text = tokens->texts + tokens->rows[rows[r]].body;
        const uint16_t *places = tokens->sentences + text->sentences;
        int64_t pieces = text->places / 2, first = 0, last = 0, many = 0;
        many = kb_matches(tokens, question, rows + r, 1, matches, MOST_PLACES, &found);
        if (many < 0) { failed = many; break; }
        windows[r] = (kb_window){0, 0, 0, 0, count};
        if (!pieces) continue;
        for (int64_t k = 0, at = 0; at < pieces; at++) {
            while (k < many && matches[k].start < places[2 * at + 1]) k++;
            ends_of[at] = k;
        }
        best_window(places, pieces, matches, ends_of, &terms, limit, &first, &last);
        int32_t start = places[2 * first], end = places[2 * last + 1];
        if (end - start > limit) cut_sentence(&start, &end, matches, many, &terms, (int32_t)room);
        int64_t own = count;
        for (int64_t k = 0; k < many && count < space; k++) {
            if (matches[k].start < start || matches[k].end > end) continue;
            if (count > own && matches[k].start <= marks[2 * count - 1]) {
                int32_t before = marks[2 * count - 1];
                marks[2 * count - 1] = matches[k].end > before ? matches[k].end : before;
            } else {
                marks[2 * count] = matches[k].start;
                marks[2 * count + 1] = matches[k].end;
                count++;
            }
        }
        windows[r] = (kb_window){start, end, places[2 * first] < start, end < places[2 * last + 1], count};
    }
    free(matches);
    free(ends_of);
    free(terms.seen);
    return failed ? failed : count;
}
