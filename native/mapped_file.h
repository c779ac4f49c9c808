/* Maps a part of a file into memory, so that another process that truncates the file cannot end this one.

   An access behind the new end of a mapped file is a SIGBUS, as is a page that cannot be read. The handler here replaces
   what is left of the mapping by zeros, and marks it as failed; the loop that reads it goes on. Any other SIGBUS goes to
   the handler that was there before. */
#ifndef PARCOUNT_MAPPED_FILE_H
#define PARCOUNT_MAPPED_FILE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uintptr_t start; /* 0 if the slot is free, 1 while it is being filled; read by the handler */
    uintptr_t stop;
    int failed;
} MappedFile;

#ifndef _WIN32
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

enum { MAPPED_FILES = 256 }; /* at the same time; beyond that, files are read */

static MappedFile mapped_files[MAPPED_FILES];
static struct sigaction mapped_file_previous; /* the handler before ours */
static volatile sig_atomic_t mapped_file_installed;
static pthread_mutex_t mapped_file_mutex = PTHREAD_MUTEX_INITIALIZER;

static void mapped_file_on_sigbus(int number, siginfo_t *info, void *context)
{
    uintptr_t address = (uintptr_t)info->si_addr;
    for (int i = 0; i < MAPPED_FILES; i++) {
        uintptr_t start = __atomic_load_n(&mapped_files[i].start, __ATOMIC_ACQUIRE);
        uintptr_t stop = __atomic_load_n(&mapped_files[i].stop, __ATOMIC_RELAXED);
        if (start > 1 && start <= address && address < stop) {
            int before = errno;
            uintptr_t page = address - address % (uintptr_t)sysconf(_SC_PAGESIZE);
            void *zeros = mmap((void *)page, stop - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            __atomic_store_n(&mapped_files[i].failed, 1, __ATOMIC_RELAXED);
            errno = before;
            if (zeros != MAP_FAILED)
                return;
        }
    }
    /* The handler before gets it by being the handler, because it may set what was before it, which can be this one. */
    if (mapped_file_installed)
        sigaction(number, &mapped_file_previous, NULL);
    else
        signal(number, SIG_DFL);
    mapped_file_installed = 0;
    if (info->si_code <= 0) /* sent by a process; otherwise the access is repeated */
        raise(number);
}

/* Other handlers may have been set since the last time. */
static int mapped_file_guard(void)
{
    struct sigaction now, ours = {.sa_sigaction = mapped_file_on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    int failed;
    sigemptyset(&ours.sa_mask);
    pthread_mutex_lock(&mapped_file_mutex);
    failed = sigaction(SIGBUS, NULL, &now);
    if (!failed && !(now.sa_flags & SA_SIGINFO && now.sa_sigaction == mapped_file_on_sigbus)) {
        mapped_file_previous = now;
        failed = sigaction(SIGBUS, &ours, NULL);
        mapped_file_installed = !failed;
    }
    pthread_mutex_unlock(&mapped_file_mutex);
    return failed;
}

/* Maps from a multiple of the page size; NULL with errno if that fails. */
static MappedFile *mapped_file_open(int descriptor, int64_t start, size_t size)
{
    for (int i = 0; i < MAPPED_FILES; i++) {
        MappedFile *file = &mapped_files[i];
        uintptr_t expected = 0;
        void *memory;
        if (!__atomic_compare_exchange_n(&file->start, &expected, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        memory = mapped_file_guard() ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, (off_t)start);
        if (memory == MAP_FAILED) {
            __atomic_store_n(&file->start, 0, __ATOMIC_RELEASE);
            return NULL;
        }
        __atomic_store_n(&file->failed, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&file->stop, (uintptr_t)memory + size, __ATOMIC_RELAXED);
        __atomic_store_n(&file->start, (uintptr_t)memory, __ATOMIC_RELEASE);
        return file;
    }
    errno = EMFILE;
    return NULL;
}

/* Returns whether some of it could not be read. */
static int mapped_file_close(MappedFile *file)
{
    int failed = __atomic_load_n(&file->failed, __ATOMIC_RELAXED);
    munmap((void *)file->start, file->stop - file->start);
    __atomic_store_n(&file->start, 0, __ATOMIC_RELEASE);
    return failed;
}

static int64_t mapped_file_page(void) { return sysconf(_SC_PAGESIZE); }

#else

static MappedFile *mapped_file_open(int descriptor, int64_t start, size_t size)
{
    errno = ENOSYS;
    return NULL;
}
static int mapped_file_close(MappedFile *file) { return 0; }
static int64_t mapped_file_page(void) { return 1; }

#endif
#endif
