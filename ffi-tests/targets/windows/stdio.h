// What the programs that msvc.sh links use of msvcrt.dll's stdio: there is no SDK.

#ifndef STDIO_H
#define STDIO_H

#include <stdarg.h>
#include <stddef.h>

#define EOF (-1)
#define stderr (__iob_func() + 2)
#define snprintf _snprintf  // which ends no text that is too long: here none is
#define vsnprintf _vsnprintf

typedef struct FILE {
    char *ptr;
    int cnt;
    char *base;
    int flag, file, charbuf, bufsiz;
    char *tmpfname;
} FILE;

FILE *__iob_func(void);
FILE *fopen(const char *path, const char *mode);
int fclose(FILE *file);
int feof(FILE *file);
int fgetc(FILE *file);
int ungetc(int byte, FILE *file);
int fscanf(FILE *file, const char *format, ...);
int fprintf(FILE *file, const char *format, ...);
int printf(const char *format, ...);
int _snprintf(char *to, size_t len, const char *format, ...);
int _vsnprintf(char *to, size_t len, const char *format, va_list arguments);
void perror(const char *what);

#endif
