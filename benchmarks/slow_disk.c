/* A disk that takes longer to make what is written durable: postgres.py loads this into PostgreSQL. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int fdatasync(int file)
{
    static int (*sync)(int);
    static struct timespec delay;

    if (!sync) {
        const char *text = getenv("SYNC_MICROSECONDS");
        long microseconds = text ? atol(text) : 0;

        delay.tv_sec = microseconds / 1000000;
        delay.tv_nsec = microseconds % 1000000 * 1000;
        sync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    }
    nanosleep(&delay, 0);
    return sync(file);
}
