/* What an embedder writes: texts to vectors, learn from a few events, recommend. Built against an
 * installation by test_install.sh. */
#include <freshet/freshet.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  if (strcmp(freshet_version(), FRESHET_VERSION) != 0) return puts("another library than headers"), 1;
  freshet_model* model = NULL;
  freshet_ranker* ranker = NULL;
  freshet_error error = {0};
  freshet_encoder* encoder = NULL;
  freshet_text_config text = freshet_text_defaults();
  text.encoder = FRESHET_TEXT_HASHING;
  if (freshet_text_create(&text, &encoder, &error) != FRESHET_OK) return puts(error.message), 1;
  float vector[256];
  freshet_model_config config = freshet_model_defaults();
  config.text_dim = encoder->dim;
  if (freshet_model_create(&config, &model, &error) != FRESHET_OK) return puts(error.message), 1;
  const char* names[] = {"tea", "teapot", "hammer", "nails"};
  uint32_t items[4];
  for (int i = 0; i < 4; i++) {
    if (freshet_model_intern(model, freshet_slice_of(names[i]), &items[i], &error) != FRESHET_OK) return 1;
    freshet_model_set_listed(model, items[i], true);
    freshet_slice name = freshet_slice_of(names[i]);
    if (freshet_encode(encoder, &name, 1, vector, &error) != FRESHET_OK) return 1;
    if (freshet_model_set_text(model, items[i], vector, NULL, &error) != FRESHET_OK)
      return puts(error.message), 1;
  }
  freshet_user* user = NULL;
  for (int i = 0; i < 200; i++) { /* tea, then a teapot; a hammer, then nails */
    freshet_user_destroy(user);
    user = freshet_user_create(model);
    for (int step = 0; step < 2 && !(i == 199 && step == 1); step++) {
      freshet_observation seen = {items[i % 2 == 0 ? 2 + step : step], true, 0,    1,
                                  1000000 + 60000 * i + step,          0,    false};
      if (freshet_model_learn(model, user, &seen, &error) != FRESHET_OK) return puts(error.message), 1;
      freshet_user_mark_seen(user, seen.item, config.seen_limit);
    }
  }
  freshet_ranker_config ranking = {.dim = freshet_model_row_dim(model), .capacity = 4};
  if (freshet_ranker_create(&ranking, &ranker, &error) != FRESHET_OK) return puts(error.message), 1;
  if (freshet_model_sync_ranker(model, ranker, &error) != FRESHET_OK) return puts(error.message), 1;
  freshet_model_scratch* scratch = freshet_model_scratch_create(model);
  freshet_rank_scratch* rank_scratch = freshet_rank_scratch_create(ranker);
  freshet_rank_query query = {0};
  freshet_model_query(model, user, 1000000 + 60000 * 200, scratch, &query);
  query.k = 1;
  freshet_ranked best;
  size_t count;
  if (freshet_rank(ranker, &query, 1, &best, 1, &count, rank_scratch, &error) != FRESHET_OK || count != 1)
    return 1;
  freshet_slice id = freshet_model_item_id(model, best.item);
  printf("after tea: %.*s\n", (int)id.size, id.data);
  freshet_rank_scratch_destroy(rank_scratch);
  freshet_model_scratch_destroy(scratch);
  freshet_ranker_destroy(ranker);
  freshet_user_destroy(user);
  freshet_model_destroy(model);
  freshet_encoder_destroy(encoder);
  return 0;
}
