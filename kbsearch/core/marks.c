/* What of one span is shown and marked: the part of a sentence that is too long, the places that matched. */

#include "core.h"

/* The part of one long sentence with the greatest weight of distinct terms, with some text before the first; it begins
 * and ends between words. */
KB_HIDDEN void kb_cut(const kb_tokens *tokens, int64_t row, int32_t *start, int32_t *end, const kb_match *matches,
                      int64_t n, const kb_question *question, uint32_t *seen, int32_t room) {
    int32_t begin = *start, stop;
    uint32_t round = 0;
    double best = -1;
    memset(seen, 0, (size_t)question->n * sizeof *seen);
    for (int64_t k = 0; k < n; k++) {
        if (matches[k].start < *start || matches[k].start >= *end) continue;
        int32_t at = matches[k].start - room / 4 < *end - room ? matches[k].start - room / 4 : *end - room;
        double weight = 0;
        at = at > *start ? at : *start;
        round++;
        for (int64_t other = k; other < n && matches[other].start < *end && matches[other].end <= at + room; other++)
            seen[matches[other].term] = round;
        for (int64_t i = 0; i < question->n; i++) /* in their order: equal sums whatever comes first */
            if (seen[i] == round) weight += question->idf[i];
        if (weight > best) {
            begin = at;
            best = weight;
        }
    }
    stop = *end < begin + room ? *end : begin + room;
    const kb_text *text = tokens->texts + tokens->rows[row].body;
    int64_t first = ((int64_t)text->begin_high << 32) + text->begin_low, words = text->counts[0];
    for (int64_t k = first; k < first + words && k < tokens->n_tokens; k++) { /* no half words */
        int32_t from = tokens->starts[k], to = from + tokens->lengths[k];
        if (from < begin && begin < to && begin > *start && to < stop) begin = to;
        if (from < stop && stop < to && stop < *end && from > begin) stop = from;
    }
    *start = begin;
    *end = stop;
}

/* The place of what is marked without half words: a run of grams that covers part of a word covers it or lets it go. */
static void whole_words(const kb_tokens *tokens, const kb_text *text, int32_t *start, int32_t *end) {
    int64_t first = ((int64_t)text->begin_high << 32) + text->begin_low;
    int64_t low = first, high = first + text->counts[0];
    if (high > tokens->n_tokens) return;
    while (low < high) { /* the first word that ends behind the start */
        int64_t middle = low + (high - low) / 2;
        if (tokens->starts[middle] + tokens->lengths[middle] <= *start) low = middle + 1;
        else high = middle;
    }
    int64_t last = first + text->counts[0];
    int32_t from = *start, to = *end;
    for (int64_t k = low; k < last && tokens->starts[k] < to; k++) {
        int32_t word = tokens->starts[k], stop = word + tokens->lengths[k];
        if (word < *start && *start < stop) from = 2 * (stop - *start) >= stop - word && stop <= to ? word : stop;
        if (word < *end && *end < stop) to = 2 * (*end - word) >= stop - word && word >= *start ? stop : word;
    }
    *start = from;
    *end = to > from ? to : from;
}

/* Marks of one span, ascending, touching ones as one; a single character is none. */
KB_HIDDEN int64_t kb_mark(const kb_tokens *tokens, const kb_question *question, int64_t row, int32_t start, int32_t end,
                          const kb_match *matches, int64_t n, int32_t *marks, int64_t count, int64_t space) {
    const kb_text *text = tokens->texts + tokens->rows[row].body;
    int64_t own = count;
    for (int64_t k = 0; k < n && count < space;) {
        int32_t from = matches[k].start, to = matches[k].end, is_gram = question->flags[matches[k].term] & KB_GRAM;
        k++;
        if (from < start || to > end) continue;
        for (; k < n && matches[k].start <= to && (question->flags[matches[k].term] & KB_GRAM) == is_gram; k++) {
            if (matches[k].end > end) break;
            to = matches[k].end > to ? matches[k].end : to;
        }
        if (is_gram) whole_words(tokens, text, &from, &to);
        if (from < start || to > end || to <= from) continue;
        for (; count > own && from <= marks[3 * count - 1]; count--) { /* touches the last one */
            if (marks[3 * count - 2] < from) from = marks[3 * count - 2];
            if (marks[3 * count - 1] > to) to = marks[3 * count - 1];
        }
        marks[3 * count] = (int32_t)row;
        marks[3 * count + 1] = from;
        marks[3 * count + 2] = to;
        count++;
    }
    int64_t kept = own;
    for (int64_t k = own; k < count; k++) {
        if (marks[3 * k + 2] - marks[3 * k + 1] < 2) continue;
        memmove(marks + 3 * kept++, marks + 3 * k, 3 * sizeof *marks);
    }
    return kept;
}
