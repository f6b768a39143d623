#ifndef STDLIB_H
#define STDLIB_H

#include <stddef.h>

int atoi(const char *text);
void *calloc(size_t count, size_t size);
void exit(int status);

#endif
