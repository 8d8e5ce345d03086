/*
 * java_text - what a program of Java and Scala makes of bytes, for tools that print what Kafka's
 * print: malformed UTF-8, and the order in which Scala's and Java's hash tables are walked.
 *
 * Ownership:  results live in the arena given.
 * Threads:    any.
 */
#ifndef CONTROLLER_CLI_JAVA_TEXT_H
#define CONTROLLER_CLI_JAVA_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/str.h"

/* As new String(bytes, UTF_8) decodes it, printed as UTF-8 again: malformed bytes become U+FFFD.
 * Text without such bytes comes back as it is. */
struct str java_utf8(struct arena *arena, struct str bytes);

/* TopicPartition.hashCode() */
int32_t java_tp_hash(struct str topic, int32_t partition);
/* Puts the numbers of count elements into the order in which a java.util.HashMap or HashSet of them
 * is walked that was filled one by one. hashes: their hashCode()s, distinct elements in order of
 * insertion. */
void java_hash_order(const int32_t *hashes, size_t count, size_t *order);
/* Puts the numbers of count elements into the order in which a scala.collection.mutable.HashMap or
 * HashSet of them is walked. hashes: their hashCode()s, distinct elements in order of insertion,
 * one at a time. hint: of the element at which a whole collection is added, its count, else 0. */
void scala_hash_order(const int32_t *hashes, const size_t *hints, size_t count, size_t *order);

#endif
