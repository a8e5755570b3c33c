/* Allocates and frees blocks of 64 bytes for counting instructions: so many of them, in bursts of so
 * many at a time. */
#include <stdlib.h>

int main(int count, char **arguments) {
    long pairs = count > 1 ? atol(arguments[1]) : 0;
    long burst = count > 2 ? atol(arguments[2]) : 1;
    static void *volatile blocks[10000];
    for (long done = 0; done < pairs; done += burst) {
        for (long i = 0; i < burst; i++) blocks[i] = malloc(64);
        for (long i = 0; i < burst; i++) free(blocks[i]);
    }
    return 0;
}
