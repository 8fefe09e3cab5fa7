/* What of an article answers: the sentences to quote of its best passages, as kbsearch/quotes.py says. */

#include <math.h>
#include <stdlib.h>

#include "core.h"

enum { MOST_PLACES = 4000, MOST_UNITS = 2000, MOST_SPANS = 32, GAP = 3, TINY = 12, FARTHEST_BACK = 2, NONE = -1 };

/* Flags of a unit, as kbsearch/units.py explains them. */
enum {
    TIED = 1, DANGLING = 2, LEADS = 4, STEP = 8, ITEM = 16, INSIDE = 32, ROW = 64, HEAD = 128, WARNS = 256, ASKS = 512,
    BEFORE_TIED = 1024, BEFORE_WARNING = 2048, NUMBERS = 4096, RULES = 8192, FIRST = 16384, AGAIN = 32768
};

/* What a quotation must say besides: that a restriction, a warning, other steps of a list are left out. */
enum { RESTRICTION = 1, WARNING = 2, STEPS = 4 };

/* A unit of the article at hand; the rows are in the order of the text. Places are those of units on the page. */
typedef struct {
    const kb_unit *unit;
    int64_t row;
    double score;
    int32_t last;    /* the last unit of its row */
    int32_t begin;   /* the beginning of its item; itself outside of one */
    int32_t head;    /* the head of its table, or NONE */
    int32_t end;     /* the last unit of its list or table; itself outside of one */
    int32_t list;    /* a number that the steps of one list share; 0 outside of one */
    uint8_t follows; /* whether the unit before it on the page stands right before it in its section */
    uint8_t tried;
} kb_candidate;

typedef struct {
    kb_candidate *units;
    uint8_t *chosen, *saved; /* of each unit */
    int32_t n;
    const kb_quoting *how;
} kb_page;

static int flags_of(const kb_page *page, int32_t place) { return page->units[place].unit->flags; }

/* Whether the next unit on the page is the next one of its section, and is as one of the flags says. */
static int precedes(const kb_page *page, int32_t place, int flags) {
    return place + 1 < page->n && page->units[place + 1].follows && flags_of(page, place + 1) & flags;
}

/* Find what belongs together. A list goes on behind a paragraph when its numbers do. */
static void connect(kb_page *page) {
    kb_candidate *units = page->units;
    const kb_unit *step = NULL;
    const int listed = STEP | ITEM | INSIDE | ROW | HEAD;
    int32_t list = 0, head = NONE, begin = NONE;
    for (int32_t i = 0; i < page->n; i++) {
        const kb_unit *unit = units[i].unit;
        int flags = unit->flags;
        units[i].follows = i && unit == units[i - 1].unit + 1 && !(flags & FIRST);
        head = flags & HEAD ? i : flags & ROW && units[i].follows ? head : NONE;
        units[i].head = flags & ROW ? head : NONE;
        begin = flags & INSIDE && units[i].follows ? begin : i;
        units[i].begin = begin;
        if (flags & STEP) {
            list += !step || unit->number <= step->number || unit->total != step->total;
            step = unit;
        }
        units[i].list = flags & STEP ? list : begin < i ? units[begin].list : 0;
    }
    for (int32_t i = page->n - 1; i >= 0; i--)
        units[i].end = flags_of(page, i) & listed && precedes(page, i, listed) ? units[i + 1].end : i;
}

static int64_t digits(int64_t number) { return number < 10 ? 1 : number < 100 ? 2 : number < 1000 ? 3 : 5; }

/* Whether a restriction stands right behind a unit and is left out, or is in a passage that is not on the page. */
static int lacks_restriction(const kb_page *page, int32_t place) {
    if (precedes(page, place, TIED)) return !page->chosen[place + 1];
    return place == page->units[place].last && flags_of(page, place) & BEFORE_TIED;
}

/* Which notes the chosen units need, and of which steps. Answers the characters that the notes take, or NONE when two
 * lists are shown in part: there is one note for one. */
static int64_t notes_of(const kb_page *page, kb_quote *quote) {
    const kb_candidate *units = page->units;
    int64_t notes = 0, cost = 0, row = NONE;
    int32_t list = 0, last = NONE;
    kb_quote steps = {0};
    quote->first_step = quote->last_step = quote->steps = quote->total_steps = 0;
    for (int32_t i = 0; i <= page->n; i++) {
        if (i == page->n || (page->chosen[i] && units[i].list && units[i].list != list)) { /* a list has ended */
            if (steps.steps < steps.total_steps) {
                if (notes & STEPS) return NONE;
                notes |= STEPS;
                quote->first_step = steps.first_step, quote->last_step = steps.last_step;
                quote->steps = steps.steps, quote->total_steps = steps.total_steps;
            }
            if (i == page->n) break;
            list = units[i].list;
            steps = (kb_quote){0};
        }
        if (!page->chosen[i]) {
            if (flags_of(page, i) & WARNS && units[i].row == row) notes |= WARNING;
            continue;
        }
        row = units[i].row;
        int32_t end = units[i].last;
        /* A restriction behind a list restricts all that is in it. */
        if (lacks_restriction(page, i) || lacks_restriction(page, units[i].end)) notes |= RESTRICTION;
        if (flags_of(page, end) & BEFORE_WARNING && !(precedes(page, end, WARNS) && page->chosen[end + 1])) notes |= WARNING;
        const kb_unit *step = units[units[i].begin].unit; /* a sentence inside a step is a part of it */
        if (!units[i].list || units[i].begin == last) continue;
        last = units[i].begin;
        if (!steps.steps++) steps.first_step = step->number;
        steps.last_step = step->number;
        steps.total_steps = step->total;
    }
    if (notes & STEPS)
        cost += page->how->steps_note + digits(quote->first_step) + digits(quote->last_step) + digits(quote->total_steps);
    if (notes & RESTRICTION) cost += page->how->restriction_note;
    if (notes & WARNING) cost += page->how->warning_note;
    quote->notes = (int32_t)notes;
    return page->how->says_notes ? cost : 0;
}

/* Characters that the chosen units take with what is between them, without notes. */
static int64_t length_of(const kb_page *page) {
    int64_t length = 0;
    int32_t last = NONE;
    for (int32_t i = 0; i < page->n; i++) {
        const kb_unit *unit = page->units[i].unit;
        if (!page->chosen[i]) continue;
        if (last != NONE) {
            int near = last == i - 1 && page->units[last].row == page->units[i].row;
            length += !near ? GAP : unit->start > page->units[last].unit->end;
        }
        length += unit->end - unit->start;
        last = i;
    }
    return length;
}

static int fits(const kb_page *page) {
    kb_quote unused;
    int64_t length = length_of(page), notes = length <= page->how->limit ? notes_of(page, &unused) : 0;
    return notes >= 0 && length + notes <= page->how->limit;
}

/* Choose a unit and, of the restrictions behind it, as many as are wanted. */
static void choose(kb_page *page, int32_t place, int32_t restrictions) {
    page->chosen[place] = 1;
    for (; restrictions > 0 && precedes(page, place, TIED); restrictions--) page->chosen[++place] = 1;
}

static int32_t restrictions_of(const kb_page *page, int32_t place) {
    int32_t many = 0;
    while (precedes(page, place + many, TIED)) many++;
    return many;
}

/* Choose some more units that follow each other, with all their restrictions or without, if they fit. */
static int add(kb_page *page, int32_t first, int32_t last) {
    memcpy(page->saved, page->chosen, (size_t)page->n);
    for (int with = 1; with >= 0; with--) {
        for (int32_t i = first; i <= last; i++) choose(page, i, with ? page->n : 0);
        if (fits(page)) return 1;
        memcpy(page->chosen, page->saved, (size_t)page->n);
    }
    return 0;
}

/* Choose the beginning of a unit's item, with what is between if that fits. */
static void add_beginning(kb_page *page, int32_t place) {
    int32_t begin = page->units[place].begin;
    if (begin < place && !add(page, begin, place)) add(page, begin, begin);
}

/* Whether a unit points back to the one before it. */
static int points_back(const kb_page *page, int32_t place) {
    return page->units[place].follows && flags_of(page, place) & DANGLING;
}

/* Choose what a unit points back to, and what that does. */
static void add_antecedents(kb_page *page, int32_t place) {
    for (int back = 0; back < FARTHEST_BACK && points_back(page, place) && add(page, place - 1, place - 1); back++) place--;
}

/* Choose what a unit introduces. */
static void add_led(kb_page *page, int32_t place) {
    if (flags_of(page, place) & LEADS && place < page->units[place].last) add(page, place + 1, place + 1);
}

/* The best unit with the head of its table, then its restrictions, then what it needs to be understood: each as far as
 * it fits. Answers whether even the unit alone does not. */
static int choose_best(kb_page *page, int32_t best) {
    int32_t head = page->units[best].head;
    for (int with_head = head != NONE; with_head >= 0; with_head--)
        for (int32_t many = restrictions_of(page, best); many >= 0; many--) {
            memset(page->chosen, 0, (size_t)page->n);
            choose(page, best, many);
            if (with_head) page->chosen[head] = 1;
            if (!fits(page)) continue;
            add_beginning(page, best);
            add_antecedents(page, best);
            add_led(page, best);
            return 0;
        }
    return length_of(page) > page->how->limit; /* there is no room for a note: an ellipsis stands for it */
}

/* Another unit with all that belongs to it and all that it needs. Answers whether that fits. */
static int choose_more(kb_page *page, int32_t place, uint8_t *before) {
    int32_t head = page->units[place].head;
    memcpy(before, page->chosen, (size_t)page->n);
    choose(page, place, page->n);
    if (head != NONE) page->chosen[head] = 1;
    int flags = flags_of(page, place);
    if (flags & INSIDE) page->chosen[page->units[place].begin] = 1;
    else if (points_back(page, place)) choose(page, place - 1, page->n);
    if (flags & LEADS && place < page->units[place].last) choose(page, place + 1, page->n);
    if (!fits(page)) {
        memcpy(page->chosen, before, (size_t)page->n);
        return 0;
    }
    add_beginning(page, place);
    add_antecedents(page, place);
    return 1;
}

/* Whether a unit of its row stands beside a unit and is shown. */
static int is_beside(const kb_page *page, int32_t place) {
    int64_t row = page->units[place].row;
    return (place > 0 && page->units[place - 1].row == row && page->chosen[place - 1]) ||
           (place + 1 < page->n && page->units[place + 1].row == row && page->chosen[place + 1]);
}

/* The best unit; the question again, or the head of a table, only where there is nothing else. */
static int32_t best_of(const kb_page *page) {
    static const int unwanted[] = {HEAD | AGAIN, HEAD, 0};
    int32_t best = NONE;
    for (int k = page->how->whole ? 0 : 3; best == NONE; k++)
        for (int32_t i = 0; i < page->n; i++) {
            const kb_unit *unit = page->units[i].unit;
            if (flags_of(page, i) & unwanted[k % 3] || (k < 3 && unit->end - unit->start > page->how->limit)) continue;
            if (best == NONE || page->units[i].score > page->units[best].score) best = i;
        }
    return best;
}

/* The best unit, then others as long as they fit: near the best in worth, or beside one that is shown. Answers whether
 * the best is longer than the limit, and is to be cut. */
static int choose_all(kb_page *page, int32_t best, uint8_t *before) {
    kb_candidate *units = page->units;
    int32_t pieces = 1;
    if (choose_best(page, best)) return 1;
    for (;;) {
        int32_t next = NONE;
        double most = 0;
        int64_t room = page->how->limit - length_of(page) + GAP; /* a gap that is filled takes no room */
        for (int32_t i = 0; i < page->n; i++) {
            if (page->chosen[i] || units[i].tried || flags_of(page, i) & (HEAD | AGAIN)) continue;
            if (units[i].unit->end - units[i].unit->start > room) continue;
            int beside = is_beside(page, i);
            if (!beside && flags_of(page, i) & FIRST && flags_of(page, i) & DANGLING) continue; /* replies to a heading */
            double worth = units[i].score + (beside ? page->how->beside : 0);
            if (!beside && (pieces >= page->how->pieces || units[i].score < units[best].score - page->how->near)) continue;
            if (next == NONE || worth > most) {
                next = i;
                most = worth;
            }
        }
        if (next == NONE) return 0;
        int beside = is_beside(page, next);
        units[next].tried = 1;
        if (choose_more(page, next, before)) pieces += !beside;
    }
}

static int by_rank_then_place(const void *a, const void *b) {
    const int64_t *x = a, *y = b;
    return (x[0] > y[0]) - (x[0] < y[0]);
}

typedef struct {
    kb_candidate *units;
    uint8_t *chosen; /* three times */
    float *products;
    kb_match *matches;
    uint32_t *seen;
    int64_t *order;
    kb_finder *finder;
} kb_scratch;

/* Asks for the units and codes of some rows: by the time that they are looked at, they have come. */
static void fetch_ahead(const kb_tokens *tokens, const kb_quotes *quotes, const int64_t *rows, int64_t n) {
    enum { LINE = 64, ENOUGH = 16 };
    for (int64_t r = 0; r < n; r++) {
        if (rows[r] < 0 || rows[r] >= quotes->n_rows || rows[r] >= tokens->n_rows) continue;
        int64_t from = quotes->rows[2 * rows[r]], size = quotes->rows[2 * rows[r] + 1];
        size = size < ENOUGH ? size : ENOUGH;
        if (from + size > quotes->n_units) continue;
        __builtin_prefetch(tokens->rows + rows[r]);
        for (int64_t at = 0; at < size * (int64_t)sizeof *quotes->units; at += LINE)
            __builtin_prefetch((const char *)(quotes->units + from) + at);
        for (int64_t at = 0; quotes->codes && at < size * quotes->width; at += LINE)
            __builtin_prefetch(quotes->codes + from * quotes->width + at);
    }
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
    kb_page page = {scratch->units, scratch->chosen, scratch->chosen + MOST_UNITS, 0, how};
    int64_t kept = 0, own = *n_spans;
    memset(quote, 0, sizeof *quote);
    for (int64_t r = 0; r < n; r++) { /* in the order of the text; an alias shows what its article's first row shows */
        if (rows[r] < 0 || rows[r] >= quotes->n_rows || rows[r] >= tokens->n_rows) return KB_CORRUPT;
        int is_new = quotes->rows[2 * rows[r] + 1] > 0;
        for (int64_t other = 0; other < kept; other++)
            is_new &= quotes->rows[2 * rows[r]] != scratch->order[2 * other];
        if (!is_new) continue;
        scratch->order[2 * kept] = quotes->rows[2 * rows[r]];
        scratch->order[2 * kept + 1] = r;
        kept++;
    }
    qsort(scratch->order, (size_t)kept, 2 * sizeof(int64_t), by_rank_then_place);
    for (int64_t o = 0; o < kept; o++) {
        int64_t row = rows[scratch->order[2 * o + 1]], from = quotes->rows[2 * row], size = quotes->rows[2 * row + 1];
        if (from + size > quotes->n_units || tokens->rows[row].body >= tokens->n_texts) return KB_CORRUPT;
        if (size > MOST_UNITS - page.n) size = MOST_UNITS - page.n;
        int64_t k = 0, many = kb_find(scratch->finder, tokens, question, row, scratch->matches, MOST_PLACES);
        if (many < 0) return many;
        int32_t last = page.n + (int32_t)size - 1;
        if (quotes->codes && vector)
            kb_products(quotes->codes + from * quotes->width, size, quotes->width, vector, scratch->products);
        memset(scratch->seen, 0, (size_t)question->n * sizeof *scratch->seen);
        for (int64_t u = 0; u < size; u++) {
            kb_candidate *here = scratch->units + page.n++;
            const kb_unit *unit = quotes->units + from + u;
            if (unit->end <= unit->start || (u && unit->start < quotes->units[from + u - 1].end)) return KB_CORRUPT;
            *here = (kb_candidate){.unit = unit, .row = row, .last = last};
            for (; k < many && scratch->matches[k].start < unit->end; k++) {
                uint32_t *seen = scratch->seen + scratch->matches[k].term;
                if (*seen != u + 1) here->score += question->idf[scratch->matches[k].term];
                *seen = (uint32_t)u + 1;
            }
            here->score = how->words * (total > 0 ? here->score / total : 0);
            if (quotes->codes && vector)
                here->score += (double)how->cosine * scratch->products[u] * quotes->scales[from + u];
            here->score += how->rank * (double)scratch->order[2 * o + 1];
            here->score += worth_of_kind(unit, how);
            if (!isfinite(here->score)) return KB_CORRUPT; /* a scale is no number */
        }
    }
    if (!page.n) return count;
    connect(&page);
    int32_t best = best_of(&page);
    int cut = choose_all(&page, best, scratch->chosen + 2 * MOST_UNITS);
    int32_t head = scratch->units[best].head;
    int64_t room = how->room;
    if (cut && head != NONE && head != best) { /* a part of a row says little without the head of its table */
        int64_t size = scratch->units[head].unit->end - scratch->units[head].unit->start + GAP;
        page.chosen[head] = size <= room / 2;
        room -= page.chosen[head] ? size : 0;
    }
    int64_t notes = notes_of(&page, quote);
    quote->row = scratch->units[best].row;
    for (int32_t i = 0; i < page.n; i++)
        if (page.chosen[i]) quote->tokens += scratch->units[i].unit->tokens;
    for (int32_t i = 0; i < page.n && *n_spans - own < MOST_SPANS;) {
        if (!page.chosen[i]) { i++; continue; }
        int32_t j = i;
        while (!cut && j < scratch->units[i].last && page.chosen[j + 1]) j++;
        kb_span *span = spans + (*n_spans)++;
        *span = (kb_span){scratch->units[i].row, scratch->units[i].unit->start, scratch->units[j].unit->end, 0, 0};
        int64_t many = kb_find(scratch->finder, tokens, question, span->row, scratch->matches, MOST_PLACES);
        if (many < 0) return many;
        if (cut && i == best) {
            int32_t start = span->start, end = span->end;
            int64_t least = (room + 1) / 2, kept = room - notes > least ? room - notes : least; /* or without the notes */
            kb_cut(tokens, span->row, &start, &end, scratch->matches, many, question, scratch->seen, (int32_t)kept);
            *span = (kb_span){span->row, start, end, start > span->start, end < span->end};
        }
        count = kb_mark(tokens, question, span->row, span->start, span->end, scratch->matches, many, marks, count, space);
        i = j + 1;
    }
    return count;
}

/* Quote n articles. rows: of all of them, one article after another, best first; ends: articles, where each one's rows
 * end; which: articles, the place of each one's way to quote among `how`. spans: room for MOST_SPANS an article; marks:
 * row, first and one-past-last character, `space` of them at most. Answers how many marks there are. */
int64_t kb_quote_articles(const kb_tokens *tokens, const kb_quotes *quotes, const kb_question *question,
                          const float *vector, const int64_t *rows, const int64_t *ends, int64_t n,
                          const kb_quoting *how, const uint8_t *which, kb_quote *found, kb_span *spans, int32_t *marks,
                          int64_t space) {
    int64_t count = 0, n_spans = 0, most = 1;
    double total = 0;
    for (int64_t i = 0; i < n; i++) most = ends[i] - (i ? ends[i - 1] : 0) > most ? ends[i] - (i ? ends[i - 1] : 0) : most;
    for (int64_t i = 0; i < question->n; i++)
        if (!(question->flags[i] & KB_GRAM)) total += question->idf[i];
    if (total <= 0)
        for (int64_t i = 0; i < question->n; i++) total += question->idf[i];
    kb_scratch scratch = {
        malloc(MOST_UNITS * sizeof(kb_candidate)), malloc(3 * MOST_UNITS), malloc(MOST_UNITS * sizeof(float)),
        malloc(MOST_PLACES * sizeof(kb_match)),
        malloc(((size_t)question->n + 1) * sizeof(uint32_t)), malloc(2 * (size_t)most * sizeof(int64_t)),
        kb_open_finder(question),
    };
    if (!scratch.units || !scratch.chosen || !scratch.products || !scratch.matches || !scratch.seen || !scratch.order ||
        !scratch.finder)
        count = KB_NO_MEMORY;
    for (int64_t i = 0; i < n && count >= 0; i++) {
        int64_t begin = i ? ends[i - 1] : 0;
        if (i + 1 < n) fetch_ahead(tokens, quotes, rows + ends[i], ends[i + 1] - ends[i]);
        count = quote_article(tokens, quotes, question, vector, rows + begin, ends[i] - begin, how + which[i], total, &scratch,
                              found + i, spans, &n_spans, marks, count, space);
        found[i].spans_end = n_spans;
        found[i].marks_end = count;
    }
    free(scratch.units);
    free(scratch.chosen);
    free(scratch.products);
    free(scratch.matches);
    free(scratch.seen);
    free(scratch.order);
    kb_close_finder(scratch.finder);
    return count;
}
