/* The inner loops of a query: what a pool of passages has in common with a question, what the learned models make of it,
 * which passages are near, and what of each is shown.
 *
 * Plain C without Python's headers, called through kbsearch/native.py, which says what the arrays are. Every function
 * takes pointers to arrays of stated sizes and works on no global state but what beside.c has, so any number of
 * threads may be inside at once; ctypes lets go of the interpreter's lock meanwhile. Files may be damaged: whatever was
 * read from one is checked before it is followed, and a function answers KB_CORRUPT instead of reading elsewhere.
 *
 * Never: print; depend on the order of floating-point sums that a compiler may change.
 */

#ifndef KBSEARCH_CORE_H
#define KBSEARCH_CORE_H

#include <stdint.h>
#include <string.h>

#define KB_CORRUPT (-1)
#define KB_NO_MEMORY (-2)

/* One build for every machine of an architecture: the loader takes the widest vectors that the processor has. */
#if !defined(__x86_64__) || !defined(__GNUC__) || defined(__clang__) || !defined(__gnu_linux__)
#define KB_WIDE
#elif __GNUC__ >= 12
#define KB_WIDE __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define KB_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#endif

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__gnu_linux__)
#define KB_X86
#endif

#define KB_HIDDEN __attribute__((visibility("hidden")))

/* ---- What is open ---------------------------------------------------------------------------------------------- */

/* A text: where its tokens begin, words first. A record, as the next two, is read as a whole: they lie
 * all over their files, and each costs one wait for memory. */
typedef struct {
    uint32_t begin_low, begin_high, counts[2], distinct[2], spare[2]; /* 32 bytes: never on two lines of a cache */
} kb_text;

/* A row: its parts, BM25's document lengths, the texts of title, last heading and alias, and the one that is shown. */
typedef struct {
    uint32_t parts, parts_end, lengths[2], slots[3], body;
} kb_row;

typedef struct {
    uint32_t text, weight;
} kb_piece;

/* The tokens of all texts, as kbsearch/tokens.py writes them. */
typedef struct {
    const uint32_t *ids;       /* hash of each token's term */
    const uint16_t *starts;    /* first character of each token */
    const uint8_t *lengths;    /* characters of each token */
    const kb_text *texts;
    const kb_row *rows;
    const kb_piece *parts; /* texts of each row with their weights */
    int64_t n_tokens, n_texts, n_rows, n_parts;
} kb_tokens;

/* The distinct headings of a part as 8-bit codes, each number times its heading's scale, and which one each row has; -1:
 * none. */
typedef struct {
    const int8_t *codes;
    const float *scales;
    const int32_t *of_row;
    int64_t n, rows, width;
} kb_headings;

/* The index itself, or its delta. vectors, titles and headings may be missing where nobody asks for cosines. */
typedef struct {
    const kb_tokens *tokens;
    const float *vectors; /* rows of the part */
    const float *titles;  /* articles of the part */
    const kb_headings *headings;
    int64_t rows, articles;
} kb_part;

/* All parts as one: rows and articles of the second are numbered behind those of the first. */
typedef struct {
    kb_part parts[2];
    int64_t width; /* of a vector */
    const int32_t *article_of_row;
    const uint8_t *japanese; /* articles */
    const int32_t *group;    /* articles: equal numbers are versions of one article */
    int64_t rows, articles;
    const int8_t *samples[2]; /* codes of passages that stand for all: other scripts, Japanese */
    int64_t sampled[2];
    float sample_step;
    float cosine_mean, cosine_spread; /* between passages of the corpus */
    float title_mean, title_spread;   /* between its titles */
} kb_corpus;

/* A pool: n rows, ascending, what kb_pool says of them, and the most that words and grams could score. */
typedef struct {
    const int64_t *rows;
    const float *scores; /* words, grams and cosines, n each, then the shares of kb_describe, KB_FIELDS * n each */
    int64_t n;
    float words_ceiling, grams_ceiling;
} kb_pooled;

enum { KB_BLOCK_BITS = 13, KB_BLOCK = 1 << KB_BLOCK_BITS, KB_SCALE = 65535 }; /* rows of a block; worth of a term */

/* Which rows hold each term, as kbsearch/lexical.py writes it: terms ascend, each with its first entry; an entry is a
 * block of rows, with its first posting and the most that the term is worth in one of them. One of each stands behind
 * the last. */
typedef struct {
    const uint32_t *terms;   /* two numbers each */
    const uint32_t *entries; /* two numbers each */
    const uint32_t *posts;
    int64_t n_terms, n_entries, n_posts, n_rows;
} kb_postings;

/* The index itself, and its delta or NULL, whose rows are numbered behind those of the first. */
typedef struct {
    const kb_postings *parts[2];
} kb_lexicon;

/* What of a passage may be quoted: a sentence, an item, a table row; kbsearch/units.py says what the flags are. */
typedef struct {
    uint16_t start, end, flags, number, total, tokens;
} kb_unit;

/* The units of all rows, as kbsearch/quotes.py writes them; codes and scales may be missing. */
typedef struct {
    const kb_unit *units;
    const uint32_t *rows; /* first unit and number of units of each row */
    const int8_t *codes;  /* units: their vectors, times a scale */
    const float *scales;
    int64_t n_units, n_rows, width;
} kb_quotes;

/* The rows of a part as 8-bit codes, each dimension in steps of its own: a row is about centre + steps * code, and
 * `errors` says how far from it. */
typedef struct {
    const int8_t *codes; /* n * width */
    const float *errors; /* n */
    const float *centre; /* width */
    const float *steps;  /* width */
    float farthest;      /* the greatest error */
    int64_t n;
} kb_codes;

/* The rows of a part as 4-bit codes, each dimension in steps of its own. Byte i of a row holds dimension i in its lower
 * half and dimension `half` + i in its upper one. */
typedef struct {
    const uint8_t *codes; /* n * half */
    const float *steps;   /* 2 * half, the last 0 where the width is odd */
    int64_t n, half;
} kb_nibbles;

/* Nodes 0 to n - 1, each with a code of `width` bytes; a step of dimension d's byte is worth span[d] / 255.
 * links: four bytes a node number, negative behind the last of a list; those of a node begin at begins[node], first
 * `level_links` of the lowest level, where all nodes are, then half as many of each level above that it is on. */
typedef struct {
    const uint8_t *codes;
    const float *span;
    const uint8_t *links;
    const uint64_t *begins; /* n + 1 */
    int64_t n, width, n_links, level_links, entry, top;
} kb_graph;

/* Rows of one script, ascending, and what leads to them: at most one of the three. reach: how many rows the 4-bit codes
 * lead to for a hundred that are wanted, or how far a walk goes. few: rows that are compared one by one sooner than by
 * the codes of a graph. */
typedef struct {
    const int64_t *rows;
    const kb_codes *codes;
    const kb_nibbles *nibbles;
    const kb_graph *graph;
    int64_t n, reach, few;
} kb_script;

/* Rows that may belong to the best, with the sums of their codes. */
typedef struct {
    int32_t *sums;
    int64_t *rows, n;
} kb_likely;

/* A look at the codes of a script, 4-bit ones or a graph's: see scan.c. All but the first five are 0 at the start. */
typedef struct {
    const kb_script *script;
    const uint8_t *allowed; /* or NULL: all rows may answer */
    const float *vector;
    int64_t width, wanted;
    _Atomic int64_t next; /* the first row that nobody looks at yet */
    kb_likely likely[2];  /* of each who looks */
} kb_scan;

/* ---- What is asked --------------------------------------------------------------------------------------------- */

typedef struct {
    const uint32_t *ids;     /* distinct terms of the question */
    const float *idf;
    const float *boost;      /* how often BM25 counts each; 0 for a term too common to be asked */
    const uint8_t *flags;    /* KB_GRAM, KB_ASCII */
    int64_t n;
    float mean_length[2];    /* of a row, words and grams */
    float k1, b;
} kb_question;

enum { KB_GRAM = 1, KB_ASCII = 2 };

/* One way to put the question. */
typedef struct {
    const kb_question *terms;
    const float *vector;      /* or NULL */
    float words_unit, grams_unit; /* what its BM25 is multiplied by to be compared with that of the first way */
} kb_way;

/* First and one-past-last character of a term's place, and the place of the term in the question. */
typedef struct {
    int32_t start, end, term;
} kb_match;

/* How to quote: characters, weights. */
typedef struct {
    int64_t limit, room; /* characters of a quotation; of one that is a part of a sentence, ellipses not counted */
    int64_t steps_note, restriction_note, warning_note; /* characters of each note, numbers not counted */
    int32_t says_notes, pieces; /* whether notes are written out; at most so many that do not touch */
    float words, cosine, rank, beside, near; /* what a unit is worth; see kbsearch/quotes.py */
    float asks, leads, step, row, tiny, dangling, tied, numbers, rules;
    int32_t whole; /* rather another unit than a part of the best one */
} kb_quoting;

/* What was quoted of an article: the row of the best sentence, what is to be said besides, where its spans and marks end. */
typedef struct {
    int64_t row, spans_end, marks_end;
    int32_t notes, first_step, last_step, steps, total_steps, tokens;
} kb_quote;

/* A span of a row's body, and whether its first or last sentence is cut. */
typedef struct {
    int64_t row;
    int32_t start, end, cut_before, cut_after;
} kb_span;

/* ---- What is shared between the files ---------------------------------------------------------------------------- */

enum { KB_FIELDS = 6, KB_FEATURES = 33, KB_HEAD = 43 };

typedef struct {
    float words_ceiling, grams_ceiling;      /* 1 where there is none */
    float cosine_mean, cosine_spread;
    float title_mean, title_spread;
    float background_mean[2], background_spread[2]; /* of this question: other scripts, Japanese */
    float japanese;                          /* share of the question's characters */
    int32_t asks_japanese;
    float terms;                             /* ln(1 + number of distinct grams) */
} kb_scale;

/* Boosted trees, as kbsearch/trees.py lays them out: `nodes` questions and `leaves` values a tree. */
typedef struct {
    const int32_t *feature;
    const float *threshold;
    const uint32_t *mask; /* the leaves that are left when a feature is above its threshold */
    const double *value;
    int64_t trees, nodes, leaves, width;
} kb_forest;

/* Work that another thread may do meanwhile; see beside.c. Who begins it ends or drops it, and keeps it and what it is
 * given until then. */
typedef struct {
    int64_t (*work)(void *given);
    void *given;
    int64_t answer;
    int32_t offered; /* in which process of a line of forks, from 1; 0 where it is not */
    _Atomic int32_t done;
} kb_job;

KB_HIDDEN void kb_begin(kb_job *job);
KB_HIDDEN int64_t kb_end(kb_job *job); /* the answer of the work */
KB_HIDDEN void kb_drop(kb_job *job);   /* nobody works at it from here on; it may have ended or never begun */

int kb_describe(const kb_tokens *tokens, const kb_question *question, const int64_t *rows, int64_t n, float *words,
                float *grams, float *cover, float *reverse);
int64_t kb_matches(const kb_tokens *tokens, const kb_question *question, const int64_t *rows, int64_t n,
                   kb_match *matches, int64_t room, int64_t *ends);
typedef struct kb_finder kb_finder;

KB_HIDDEN kb_finder *kb_open_finder(const kb_question *question); /* NULL: no memory */
KB_HIDDEN int64_t kb_find(kb_finder *finder, const kb_tokens *tokens, const kb_question *question, int64_t row,
                          kb_match *matches, int64_t room);
KB_HIDDEN void kb_close_finder(kb_finder *finder);
int kb_dots(const float *matrix, int64_t height, int64_t width, const int64_t *rows, int64_t n, const float *vector,
            float *products);
int kb_features(int64_t n, int64_t m, const int64_t *group, const float *words, const float *grams, const float *dense,
                const float *cover, const float *reverse, const float *titles, const uint8_t *japanese,
                const kb_scale *scale, float *scratch, float *features);
int kb_trees(const kb_forest *forest, const float *features, int64_t m, double *scores);

KB_HIDDEN void kb_cut(const kb_tokens *tokens, int64_t row, int32_t *start, int32_t *end, const kb_match *matches,
                      int64_t n, const kb_question *question, uint32_t *seen, int32_t room);
KB_HIDDEN int64_t kb_mark(const kb_tokens *tokens, const kb_question *question, int64_t row, int32_t start, int32_t end,
                          const kb_match *matches, int64_t n, int32_t *marks, int64_t count, int64_t space);
KB_HIDDEN int64_t kb_best(const float *matrix, int64_t height, int64_t width, const int64_t *rows, int64_t n,
                          const float *vector, int64_t k, int64_t *best, float *scores);
KB_HIDDEN int64_t kb_nearest(const kb_codes *part, const int64_t *rows, const uint8_t *allowed, const float *matrix,
                             int64_t height, int64_t width, const float *vector, int64_t k, int64_t *best, float *scores);
void kb_scores_of(const uint8_t *codes, int64_t width, const uint32_t *nodes, int64_t n, const int16_t *steps,
                  int32_t *scores);
int64_t kb_walk(const kb_graph *graph, const float *vector, int64_t reach, int64_t k, int64_t *places);
KB_HIDDEN int64_t kb_look(kb_scan *scan, int who);
KB_HIDDEN int64_t *kb_likely_rows(kb_scan *scan, int64_t failed, int64_t *count);
KB_HIDDEN int64_t kb_edge_of_sums(const int32_t *sums, const uint8_t *allowed, int64_t n, int64_t k);
KB_HIDDEN int64_t kb_places_from(const int32_t *sums, int64_t n, int64_t limit, uint8_t *may, int64_t *places);
KB_HIDDEN double kb_in_steps(const float *vector, const float *weights, int64_t width, int32_t most, int16_t *steps);
KB_HIDDEN int kb_background(const int8_t *codes, int64_t n, int64_t width, float step, const float *vector, float *mean,
                            float *spread);
KB_HIDDEN void kb_products(const int8_t *codes, int64_t n, int64_t width, const float *vector, float *products);
KB_HIDDEN void kb_sort(uint64_t *keys, int64_t n, uint64_t *scratch);

/* Where a text's words begin, its grams begin, and it ends. */
static inline int kb_region(const kb_tokens *tokens, uint32_t number, int64_t *first, int64_t *middle,
                            int64_t *last) {
    if (number >= tokens->n_texts) return KB_CORRUPT;
    const kb_text *text = tokens->texts + number;
    *first = (int64_t)((uint64_t)text->begin_high << 32 | text->begin_low);
    if (*first < 0 || *first > tokens->n_tokens) return KB_CORRUPT;
    *middle = *first + text->counts[0], *last = *middle + text->counts[1];
    return *last <= tokens->n_tokens ? 0 : KB_CORRUPT;
}

/* A key that sorts by value descending, then by place ascending. No NaN. */
static inline uint64_t kb_key(float value, uint32_t place) {
    uint32_t bits;
    value += 0.0f; /* -0 is 0 */
    memcpy(&bits, &value, sizeof bits);
    bits = bits >> 31 ? bits : ~bits & 0x7FFFFFFFu;
    return (uint64_t)bits << 32 | place;
}

#endif
