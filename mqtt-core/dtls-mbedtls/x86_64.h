/* Read before each file of Mbed TLS: the whole configuration, then the instructions of the processor, which the crate's
 * configuration has taken out. Mbed TLS asks the processor whether it has those for AES. */
#if defined(__x86_64__)
#include "mbedtls/build_info.h"

#define MBEDTLS_HAVE_ASM
#define MBEDTLS_AESNI_C
#endif
