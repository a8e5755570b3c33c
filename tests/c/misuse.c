/* One crime by name. The program must not live to print the last line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int count, char **arguments) {
    const char *crime = count > 1 ? arguments[1] : "";
    char *volatile block = malloc(100);
    char local[64];
    char *volatile target = block;
    memset(block, 1, 100);
    if (!strcmp(crime, "double")) free(target);
    else if (!strcmp(crime, "interior")) target = block + 32;
    else if (!strcmp(crime, "unaligned")) target = block + 3;
    else if (!strcmp(crime, "stack")) target = local;
    else if (!strcmp(crime, "wild")) target = (char *)0x1234567890;
    else if (!strcmp(crime, "realloc")) {
        free(target);
        target = realloc(target, 5000);
    } else if (strcmp(crime, "none")) return 2;
    free(target);
    puts("survived");
    return 0;
}
