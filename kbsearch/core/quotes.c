/* What of an article answers: the sentences to quote of its best passages, as kbsearch/quotes.py says. */

#include <stdlib.h>

#include "core.h"

enum { MOST_PLACES = 4000, MOST_UNITS = 2000, MOST_SPANS = 32, GAP = 3, TINY = 12, NONE = -1 };

/* Flags of a unit, as kbsearch/units.py explains them. */
enum {
    TIED = 1, DANGLING = 2, LEADS = 4, STEP = 8, ITEM = 16, INSIDE = 32, ROW = 64, HEAD = 128, WARNS = 256, ASKS = 512,
    BEFORE_TIED = 1024, BEFORE_WARNING = 2048, NUMBERS = 4096, RULES = 8192
};

/* What a quotation must say besides: that a restriction, a warning, other steps of a list are left out. */
enum { RESTRICTION = 1, WARNING = 2, STEPS = 4 };

/* A unit of the article at hand. Those of one row follow each other; the rows are in the order of the text. */
typedef struct {
    const kb_unit *unit;
    int64_t row;
    double score;
    int32_t first, last; /* places of the first and last unit of its row */
    int32_t rank;        /* of its row among the article's */
    uint8_t chosen, tried;
} kb_candidate;

typedef struct {
    kb_candidate *units;
    int32_t n;
    const kb_quoting *how;
} kb_page;

static int flags_of(const kb_page *page, int32_t place) { return page->units[place].unit->flags; }

static int is_listed(int flags) { return flags & (STEP | ITEM | INSIDE | ROW | HEAD); }

/* Place of the last unit of the list or table that a unit belongs to; its own place when it belongs to none. */
static int32_t end_of_list(const kb_page *page, int32_t place) {
    int32_t last = page->units[place].last;
    if (!is_listed(flags_of(page, place))) return place;
    while (place < last && is_listed(flags_of(page, place + 1))) place++;
    return place;
}

/* Choose what must be shown with a unit: its restrictions, and the head of its table. */
static void choose_bound(kb_page *page, int32_t place) {
    kb_candidate *units = page->units;
    int32_t last = units[place].last, first = units[place].first;
    units[place].chosen = 1;
    if (flags_of(page, place) & ROW) {
        int32_t head = place;
        while (head > first && flags_of(page, head) & ROW) head--;
        if (flags_of(page, head) & HEAD) units[head].chosen = 1;
    }
    for (int32_t next = place + 1; next <= last && flags_of(page, next) & TIED; next++) units[next].chosen = 1;
}

/* Choose what a unit needs to be understood: what it points back to, what it restricts, the beginning of its item, what it
 * introduces. Answers whether there is any. */
static int choose_wanted(kb_page *page, int32_t place) {
    kb_candidate *units = page->units;
    int32_t first = units[place].first, last = units[place].last, at = place, flags = flags_of(page, place);
    if (flags & INSIDE) {
        while (at > first && flags_of(page, at) & INSIDE) units[--at].chosen = 1;
    } else {
        while (at > first && flags_of(page, at) & DANGLING && place - at < 2) units[--at].chosen = 1;
    }
    if (flags & LEADS && place < last) units[++place].chosen = 1;
    return at < place;
}

static int64_t digits(int64_t number) { return number < 10 ? 1 : number < 100 ? 2 : number < 1000 ? 3 : 5; }

/* Which notes the chosen units need, and of which steps; characters that the notes take. */
static int64_t notes_of(const kb_page *page, kb_quote *quote) {
    const kb_candidate *units = page->units;
    int64_t notes = 0, cost = 0, shown = 0, total = 0, before = NONE;
    quote->first_step = quote->last_step = quote->total_steps = quote->steps = 0;
    for (int32_t i = 0; i < page->n; i++) {
        int32_t flags = flags_of(page, i);
        if (!units[i].chosen) {
            if (flags & WARNS && shown && units[i].row == before) notes |= WARNING;
            continue;
        }
        shown++;
        before = units[i].row;
        if (i == units[i].last) {
            if (flags & BEFORE_TIED) notes |= RESTRICTION;
        } else if (flags_of(page, i + 1) & TIED && !units[i + 1].chosen) {
            notes |= RESTRICTION;
        }
        int32_t end = end_of_list(page, i);
        if (end < units[i].last && flags_of(page, end + 1) & TIED && !units[end + 1].chosen) notes |= RESTRICTION;
        if (flags_of(page, units[i].last) & BEFORE_WARNING) notes |= WARNING;
        int32_t step = i; /* a sentence inside a step is a part of it */
        while (step > units[i].first && flags_of(page, step) & INSIDE) step--;
        const kb_unit *unit = units[step].unit;
        if (unit->flags & STEP && unit->total > 1 && (!total || total == unit->total) &&
            (!quote->steps || unit->number > quote->last_step)) {
            total = unit->total;
            if (!quote->steps++) quote->first_step = unit->number;
            quote->last_step = unit->number;
            quote->total_steps = unit->total;
        }
    }
    if (quote->steps && quote->steps < quote->total_steps) {
        notes |= STEPS;
        cost += page->how->steps_note + digits(quote->first_step) + digits(quote->last_step) + digits(quote->total_steps);
    }
    if (notes & RESTRICTION) cost += page->how->restriction_note;
    if (notes & WARNING) cost += page->how->warning_note;
    quote->notes = (int32_t)notes;
    return page->how->says_notes ? cost : 0;
}

/* Characters that the chosen units take with what is between them, without notes. */
static int64_t length_of(const kb_page *page) {
    int64_t length = 0, before = NONE;
    for (int32_t i = 0; i < page->n; i++) {
        const kb_unit *unit = page->units[i].unit;
        if (!page->units[i].chosen) continue;
        if (before != NONE) {
            int near = before == i - 1 && page->units[before].row == page->units[i].row;
            length += !near ? GAP : unit->start > page->units[before].unit->end ? 1 : 0;
        }
        length += unit->end - unit->start;
        before = i;
    }
    return length;
}

static int fits(const kb_page *page) {
    kb_quote unused;
    int64_t length = length_of(page);
    return length <= page->how->limit && length + notes_of(page, &unused) <= page->how->limit;
}

static void restore(kb_page *page, const uint8_t *chosen) {
    for (int32_t i = 0; i < page->n; i++) page->units[i].chosen = chosen[i];
}

/* Choose a unit with all that it wants if that fits, else with what is bound to it. Answers whether it was chosen;
 * `is_first`: also alone, and without what it points back to. */
static int choose(kb_page *page, int32_t place, uint8_t *chosen, int is_first) {
    for (int32_t i = 0; i < page->n; i++) chosen[i] = page->units[i].chosen;
    choose_bound(page, place);
    if (choose_wanted(page, place)) {
        for (int32_t i = 0; i < page->n; i++) /* what is wanted has its own restrictions */
            if (page->units[i].chosen && !chosen[i]) choose_bound(page, i);
        if (fits(page)) return 1;
        restore(page, chosen);
        if (!is_first) return 0;
        choose_bound(page, place);
    }
    if (fits(page)) return 1;
    restore(page, chosen);
    if (!is_first) return 0;
    page->units[place].chosen = 1;
    if (fits(page)) return 1;
    restore(page, chosen);
    return 0;
}

static double worth_of(const kb_page *page, int32_t place) {
    const kb_candidate *unit = page->units + place;
    int before = place > unit->first && unit[-1].chosen, after = place < unit->last && unit[1].chosen;
    return unit->score + (before || after ? page->how->beside : 0);
}

/* The best unit, then others as long as they fit: near the best in worth, or beside one that is shown. */
static int32_t choose_all(kb_page *page, uint8_t *chosen) {
    kb_candidate *units = page->units;
    int32_t best = NONE, pieces = 1;
    for (int32_t i = 0; i < page->n; i++)
        if (!(flags_of(page, i) & HEAD) && (best == NONE || units[i].score > units[best].score)) best = i;
    if (best == NONE) best = 0;
    if (!choose(page, best, chosen, 1)) return best;
    for (;;) {
        int32_t next = NONE;
        double most = 0;
        for (int32_t i = 0; i < page->n; i++) {
            if (units[i].chosen || units[i].tried || flags_of(page, i) & HEAD) continue;
            int beside = (i > units[i].first && units[i - 1].chosen) || (i < units[i].last && units[i + 1].chosen);
            double worth = worth_of(page, i);
            if (!beside && (pieces >= page->how->pieces || units[i].score < units[best].score - page->how->near)) continue;
            if (next == NONE || worth > most) {
                next = i;
                most = worth;
            }
        }
        if (next == NONE) return best;
        int beside = (next > units[next].first && units[next - 1].chosen) ||
                     (next < units[next].last && units[next + 1].chosen);
        units[next].tried = 1;
        if (choose(page, next, chosen, 0)) pieces += !beside;
    }
}

/* The part of one long sentence with the greatest weight of distinct terms, with some text before the first; it begins
 * and ends between words. */
static void cut_sentence(const kb_tokens *tokens, int64_t row, int32_t *start, int32_t *end, const kb_match *matches,
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

static int by_rank_then_place(const void *a, const void *b) {
    const int64_t *x = a, *y = b;
    return (x[0] > y[0]) - (x[0] < y[0]);
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
static int64_t mark(const kb_tokens *tokens, const kb_question *question, int64_t row, int32_t start, int32_t end,
                    const kb_match *matches, int64_t n, int32_t *marks, int64_t count, int64_t space) {
    const kb_text *text = tokens->texts + tokens->rows[row].body;
    int64_t own = count;
    for (int64_t k = 0; k < n && count < space;) {
        int32_t from = matches[k].start, to = matches[k].end, is_gram = question->flags[matches[k].term] & KB_GRAM;
        for (k++; k < n && matches[k].start <= to && (question->flags[matches[k].term] & KB_GRAM) == is_gram; k++)
            to = matches[k].end > to ? matches[k].end : to;
        if (is_gram) whole_words(tokens, text, &from, &to);
        if (from < start || to > end || to <= from) continue;
        if (count > own && from <= marks[3 * count - 1]) {
            if (to > marks[3 * count - 1]) marks[3 * count - 1] = to;
        } else {
            marks[3 * count] = (int32_t)row;
            marks[3 * count + 1] = from;
            marks[3 * count + 2] = to;
            count++;
        }
    }
    int64_t kept = own;
    for (int64_t k = own; k < count; k++) {
        if (marks[3 * k + 2] - marks[3 * k + 1] < 2) continue;
        memmove(marks + 3 * kept++, marks + 3 * k, 3 * sizeof *marks);
    }
    return kept;
}

typedef struct {
    kb_candidate *units;
    uint8_t *chosen;
    kb_match *matches;
    uint32_t *seen;
    int64_t *order;
} kb_scratch;

static double cosine_of(const kb_quotes *quotes, int64_t unit, const float *vector) {
    const int8_t *code = quotes->codes + unit * quotes->width;
    double sum = 0;
    for (int64_t i = 0; i < quotes->width; i++) sum += (double)code[i] * vector[i];
    return sum * quotes->scales[unit];
}

/* What the kind of a unit adds: learned from which units answer, so that they need not be told apart by words. */
static double worth_of_kind(const kb_unit *unit, const kb_quoting *how) {
    const float worth[] = {how->asks, how->leads, how->step, how->row, how->dangling, how->tied, how->numbers, how->rules};
    const int flags[] = {ASKS, LEADS, STEP, ROW, DANGLING, TIED, NUMBERS, RULES};
    double sum = unit->end - unit->start < TINY ? how->tiny : 0;
    for (int k = 0; k < 8; k++)
        if (unit->flags & flags[k]) sum += worth[k];
    return sum;
}

/* Quote one article. rows: of the article, best first. Answers a negative number when a file is damaged. */
static int64_t quote_article(const kb_tokens *tokens, const kb_quotes *quotes, const kb_question *question,
                             const float *vector, const int64_t *rows, int64_t n, const kb_quoting *how, double total,
                             kb_scratch *scratch, kb_quote *quote, kb_span *spans, int64_t *n_spans, int32_t *marks,
                             int64_t count, int64_t space) {
    kb_page page = {scratch->units, 0, how};
    int64_t kept = 0, own = *n_spans;
    memset(quote, 0, sizeof *quote);
    for (int64_t r = 0; r < n; r++) { /* in the order of the text; an alias shows what its article's first row shows */
        if (rows[r] < 0 || rows[r] >= quotes->n_rows || rows[r] >= tokens->n_rows) return KB_CORRUPT;
        int is_new = 1;
        for (int64_t other = 0; other < r; other++)
            is_new &= quotes->rows[2 * rows[r]] != quotes->rows[2 * rows[other]];
        if (!is_new || !quotes->rows[2 * rows[r] + 1]) continue;
        scratch->order[2 * kept] = quotes->rows[2 * rows[r]];
        scratch->order[2 * kept + 1] = r;
        kept++;
    }
    qsort(scratch->order, (size_t)kept, 2 * sizeof(int64_t), by_rank_then_place);
    for (int64_t o = 0; o < kept; o++) {
        int64_t row = rows[scratch->order[2 * o + 1]], from = quotes->rows[2 * row], size = quotes->rows[2 * row + 1];
        if (from + size > quotes->n_units || tokens->rows[row].body >= tokens->n_texts) return KB_CORRUPT;
        if (size > MOST_UNITS - page.n) size = MOST_UNITS - page.n;
        int64_t found, k = 0;
        int64_t many = kb_matches(tokens, question, &row, 1, scratch->matches, MOST_PLACES, &found);
        if (many < 0) return many;
        int32_t first = page.n;
        memset(scratch->seen, 0, (size_t)question->n * sizeof *scratch->seen);
        for (int64_t u = 0; u < size; u++) {
            kb_candidate *here = scratch->units + page.n++;
            const kb_unit *unit = quotes->units + from + u;
            if (unit->end <= unit->start || (u && unit->start < quotes->units[from + u - 1].end)) return KB_CORRUPT;
            *here = (kb_candidate){unit, row, 0, first, first + (int32_t)size - 1, (int32_t)scratch->order[2 * o + 1], 0, 0};
            for (; k < many && scratch->matches[k].start < unit->end; k++) {
                uint32_t *seen = scratch->seen + scratch->matches[k].term;
                if (*seen != u + 1) here->score += question->idf[scratch->matches[k].term];
                *seen = (uint32_t)u + 1;
            }
            here->score = how->words * (total > 0 ? here->score / total : 0);
            if (quotes->codes && vector) here->score += how->cosine * cosine_of(quotes, from + u, vector);
            here->score += how->rank * (double)here->rank;
            here->score += worth_of_kind(unit, how);
        }
    }
    if (!page.n) return count;
    int32_t best = choose_all(&page, scratch->chosen);
    int cut = !scratch->units[best].chosen;
    if (cut) scratch->units[best].chosen = 1;
    notes_of(&page, quote);
    quote->row = scratch->units[best].row;
    for (int32_t i = 0; i < page.n; i++)
        if (scratch->units[i].chosen) quote->tokens += scratch->units[i].unit->tokens;
    for (int32_t i = 0; i < page.n && *n_spans - own < MOST_SPANS;) {
        if (!scratch->units[i].chosen) { i++; continue; }
        int32_t j = i;
        while (j < scratch->units[i].last && scratch->units[j + 1].chosen) j++;
        kb_span *span = spans + (*n_spans)++;
        *span = (kb_span){scratch->units[i].row, scratch->units[i].unit->start, scratch->units[j].unit->end, 0, 0};
        int64_t found, many = kb_matches(tokens, question, &span->row, 1, scratch->matches, MOST_PLACES, &found);
        if (many < 0) return many;
        if (cut) {
            kb_quote unused;
            int64_t room = how->room - notes_of(&page, &unused);
            int32_t start = span->start, end = span->end;
            if (room < how->room / 2) room = how->room / 2; /* then the notes are left out */
            cut_sentence(tokens, span->row, &start, &end, scratch->matches, many, question, scratch->seen, (int32_t)room);
            *span = (kb_span){span->row, start, end, start > span->start, end < span->end};
        }
        count = mark(tokens, question, span->row, span->start, span->end, scratch->matches, many, marks, count, space);
        i = j + 1;
    }
    return count;
}

/* Quote n articles. rows: of all of them, one article after another, best first; ends: articles, where each one's rows
 * end. spans: room for MOST_SPANS an article; marks: row, first and one-past-last character, `space`
 * of them at most. Answers how many marks there are. */
int64_t kb_quote_articles(const kb_tokens *tokens, const kb_quotes *quotes, const kb_question *question,
                          const float *vector, const int64_t *rows, const int64_t *ends, int64_t n,
                          const kb_quoting *how, kb_quote *found, kb_span *spans, int32_t *marks, int64_t space) {
    int64_t count = 0, n_spans = 0, most = 1;
    double total = 0;
    for (int64_t i = 0; i < n; i++) most = ends[i] - (i ? ends[i - 1] : 0) > most ? ends[i] - (i ? ends[i - 1] : 0) : most;
    for (int64_t i = 0; i < question->n; i++)
        if (!(question->flags[i] & KB_GRAM)) total += question->idf[i];
    if (total <= 0)
        for (int64_t i = 0; i < question->n; i++) total += question->idf[i];
    kb_scratch scratch = {
        malloc(MOST_UNITS * sizeof(kb_candidate)), malloc(MOST_UNITS), malloc(MOST_PLACES * sizeof(kb_match)),
        malloc(((size_t)question->n + 1) * sizeof(uint32_t)), malloc(2 * (size_t)most * sizeof(int64_t)),
    };
    if (!scratch.units || !scratch.chosen || !scratch.matches || !scratch.seen || !scratch.order) count = KB_NO_MEMORY;
    for (int64_t i = 0; i < n && count >= 0; i++) {
        int64_t begin = i ? ends[i - 1] : 0;
        count = quote_article(tokens, quotes, question, vector, rows + begin, ends[i] - begin, how, total, &scratch,
                              found + i, spans, &n_spans, marks, count, space);
        found[i].spans_end = n_spans;
        found[i].marks_end = count;
    }
    free(scratch.units);
    free(scratch.chosen);
    free(scratch.matches);
    free(scratch.seen);
    free(scratch.order);
    return count;
}
