/* A second core for one question: work that a helper takes while the question's own thread does something else.
 *
 * There is one helper for the whole process, asleep unless it has work, and one place to put work for it. Where other
 * questions want the cores, it gets none: it would only take turns with them. Work that it has not taken by the time its
 * outcome is needed is done by who needs it, so nobody ever waits for a helper that has not begun; while it is busy, others
 * do their own. Waking it costs some seven microseconds, and it begins some twenty later: what takes less than fifty is
 * better done at once.
 *
 * Never: hand over work that waits for other work, or that calls Python.
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core.h"

enum { ABSENT, STARTING, READY };
enum { PATIENCE = 256 }; /* looks before a waiting thread lets others have the core */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
static _Atomic(kb_job *) offered;
static atomic_int helper;
static atomic_int crowded;
static int32_t forks = 1; /* processes in the line of forks that leads here */

static void *help(void *nothing) {
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!atomic_load_explicit(&offered, memory_order_relaxed)) pthread_cond_wait(&arrived, &lock);
        pthread_mutex_unlock(&lock);
        kb_job *job = atomic_exchange(&offered, NULL); /* NULL: its owner took it back */
        if (!job) continue;
        job->answer = job->work(job->given);
        atomic_store_explicit(&job->done, 1, memory_order_release); /* and from here on its owner may forget it */
    }
    return nothing;
}

/* A process that was forked has none of its parent's threads, and a lock may have been held by one of them. */
static void after_fork(void) {
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&arrived, NULL);
    atomic_store(&offered, NULL);
    atomic_store(&helper, ABSENT);
    atomic_store(&crowded, 0);
    forks++;
}

static int has_two_cores(void) {
#ifdef __linux__
    cpu_set_t allowed;
    if (!sched_getaffinity(0, sizeof allowed, &allowed)) return CPU_COUNT(&allowed) > 1;
#endif
    return sysconf(_SC_NPROCESSORS_ONLN) > 1;
}

static int is_ready(void) {
    int absent = ABSENT;
    if (atomic_load_explicit(&helper, memory_order_acquire) == READY) return 1;
    if (!atomic_compare_exchange_strong(&helper, &absent, STARTING)) return 0; /* it stays so where there can be none */
    if (!has_two_cores()) return 0;
    static atomic_int registered;
    if (!atomic_exchange(&registered, 1) && pthread_atfork(NULL, NULL, after_fork)) return 0;
    sigset_t all, before; /* signals are for the threads that the program knows of */
    pthread_t thread;
    pthread_attr_t detached;
    if (pthread_attr_init(&detached)) return 0;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &detached, help, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    if (!failed) atomic_store_explicit(&helper, READY, memory_order_release);
    return !failed;
}

/* Whether more than one question is under way. */
void kb_crowd(int32_t yes) { atomic_store_explicit(&crowded, yes, memory_order_relaxed); }

KB_HIDDEN void kb_begin(kb_job *job) {
    kb_job *none = NULL;
    atomic_init(&job->done, 0);
    int helps = !atomic_load_explicit(&crowded, memory_order_relaxed) && is_ready();
    job->offered = helps && atomic_compare_exchange_strong(&offered, &none, job) ? forks : 0;
    if (!job->offered) return;
    pthread_mutex_lock(&lock); /* so that the helper is not between looking and sleeping */
    pthread_cond_signal(&arrived);
    pthread_mutex_unlock(&lock);
}

/* Whether the helper has done it. Where it has not begun, the job is its owner's again; where it has, this waits for it,
 * unless that was the helper of a parent, which works on the parent's memory. */
static int was_helped(kb_job *job) {
    kb_job *mine = job;
    int32_t here = job->offered == forks && !atomic_compare_exchange_strong(&offered, &mine, NULL);
    for (int looked = 0; here && !atomic_load_explicit(&job->done, memory_order_acquire); looked++)
        if (looked >= PATIENCE) sched_yield();
    job->offered = 0;
    return here;
}

KB_HIDDEN int64_t kb_end(kb_job *job) { return was_helped(job) ? job->answer : job->work(job->given); }

KB_HIDDEN void kb_drop(kb_job *job) { was_helped(job); }
