import type { Model } from '../../graph/model.ts'
import { albert } from './albert.ts'
import { bart } from './bart.ts'
import { bert } from './bert.ts'
import { bertKeras } from './bert-keras.ts'
import { bertTf } from './bert-tf.ts'
import { clip } from './clip.ts'
import { conformer } from './conformer.ts'
import { deberta } from './deberta.ts'
import { distilbert } from './distilbert.ts'
import { electra } from './electra.ts'
import { EVERYWHERE, type Family } from './family.ts'
import { gptNeox } from './gpt-neox.ts'
import { gpt2 } from './gpt2.ts'
import { gpt2Tf } from './gpt2-tf.ts'
import { llama } from './llama.ts'
import { mmdit } from './mmdit.ts'
import type { ModelType } from './names.ts'
import { phi } from './phi.ts'
import { qwen3 } from './qwen3.ts'
import { roberta } from './roberta.ts'
import { sam } from './sam.ts'
import { swin } from './swin.ts'
import { t5 } from './t5.ts'
import { tnlr } from './tnlr.ts'
import { Traits } from './traits.ts'
import { unet } from './unet.ts'
import { vae } from './vae.ts'
import { vit } from './vit.ts'
import { whisper } from './whisper.ts'

/** All families, the more particular before the more general: the order in which a model is compared with them. */
export const families: readonly Family[] = [
  unet,
  vae,
  mmdit,
  sam,
  clip,
  swin,
  vit,
  conformer,
  qwen3,
  llama,
  t5,
  phi,
  gptNeox,
  gpt2Tf,
  gpt2,
  bertTf,
  bertKeras,
  deberta,
  whisper,
  roberta,
  albert,
  bart,
  electra,
  distilbert,
  tnlr,
  bert,
]

/** The kind of a model by its graph, or undefined where it is like none that is known. */
export function detectFamily(model: Model): Family | undefined {
  const traits = new Traits(model)
  return families.find((family) => family.isLike(traits))
}

/** The family of a model type. */
export function familyOf(type: ModelType): Family {
  return families.find(({ types }) => types.includes(type))!
}

/** Rules and groups that run for a family: all that are worth trying. */
export function rulesOf({ rules }: Family): readonly string[] {
  return [...new Set([...EVERYWHERE, ...rules])]
}

export type { Family } from './family.ts'
