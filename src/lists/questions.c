#include "lists/questions.h"

#include <stdlib.h>

freshet_asked* freshet_questions_add(freshet_questions* questions, freshet_letter* letter) {
  freshet_asked* asked = calloc(1, sizeof *asked);
  FRESHET_ASSERT(asked != NULL);
  asked->letter = letter;
  asked->older = questions->newest;
  *(questions->newest == NULL ? &questions->oldest : &questions->newest->newer) = asked;
  questions->newest = asked;
  questions->count++;
  return asked;
}

freshet_letter* freshet_questions_remove(freshet_questions* questions, freshet_asked* asked) {
  freshet_letter* letter = asked->letter;
  *(asked->newer == NULL ? &questions->newest : &asked->newer->older) = asked->older;
  *(asked->older == NULL ? &questions->oldest : &asked->older->newer) = asked->newer;
  questions->count--;
  questions->waiting -= asked->text == FRESHET_TEXT_WAITING;
  free(asked->vector);
  free(asked->reply_topic);
  free(asked->refusal);
  freshet_buffer_free(&asked->correlation);
  free(asked);
  return letter;
}
