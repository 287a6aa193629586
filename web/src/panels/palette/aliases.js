/**
 * Other words that people look for node types by, in both languages of the page.
 *
 * @module
 */

/** @type {ReadonlyMap<string, readonly string[]>} */
const ALIASES = new Map(Object.entries({
  KSampler: ['sample', 'denoise', 'generate', '采样器'],
  KSamplerAdvanced: ['sample', 'refiner', '高级采样器'],
  SamplerCustom: ['sample', '自定义采样器'],
  SamplerCustomAdvanced: ['sample', '自定义采样器'],
  CLIPTextEncode: ['prompt', 'positive', 'negative', 'text encoder', '提示词', '文本编码'],
  CheckpointLoaderSimple: ['model', 'load checkpoint', 'stable diffusion', 'sd', '模型', '大模型', '加载器'],
  UNETLoader: ['diffusion model', 'model', '模型'],
  LoraLoader: ['lora', 'lycoris', '低秩'],
  LoraLoaderModelOnly: ['lora', 'lycoris'],
  VAEDecode: ['latent to image', '解码'],
  VAEEncode: ['image to latent', 'img2img', '编码', '图生图'],
  VAEEncodeForInpaint: ['inpaint', '局部重绘'],
  InpaintModelConditioning: ['inpaint', '局部重绘'],
  SetLatentNoiseMask: ['inpaint', '局部重绘'],
  EmptyLatentImage: ['size', 'resolution', 'width', 'height', 'txt2img', '空潜空间', '尺寸', '文生图'],
  LoadImage: ['open picture', 'photo', 'upload', 'input', '加载图像', '图片'],
  LoadImageMask: ['alpha', '遮罩'],
  SaveImage: ['output', 'write', 'png', '保存图像'],
  PreviewImage: ['show', 'display', '预览'],
  PreviewAny: ['show', 'print', 'display', '预览'],
  ImageScale: ['resize', 'upscale', '缩放'],
  ImageScaleBy: ['resize', 'upscale', '缩放'],
  ImageUpscaleWithModel: ['esrgan', 'enlarge', 'hires', '放大'],
  UpscaleModelLoader: ['esrgan', '放大模型'],
  LatentUpscale: ['hires fix', 'resize', 'enlarge', '放大'],
  LatentUpscaleBy: ['hires fix', 'resize', 'enlarge', '放大'],
  ImagePadForOutpaint: ['outpaint', 'extend', '扩图'],
  ControlNetApply: ['pose', 'depth', 'lineart', '控制网'],
  ControlNetApplyAdvanced: ['pose', 'depth', 'lineart', '控制网'],
  Canny: ['edges', 'lineart', 'preprocessor', '边缘'],
  IPAdapterApply: ['reference', 'style', '参考'],
  CLIPSetLastLayer: ['clip skip', '跳层'],
  ConditioningCombine: ['merge prompts', '条件合并'],
  ImageComposite: ['paste', 'overlay'],
  ImageCompositeMasked: ['paste', 'overlay', '合成'],
  ImageCrop: ['cut', '裁剪'],
  XYGrid: ['plot', 'compare', 'contact sheet', 'matrix', '对比'],
  PrimitiveInt: ['integer', 'number', '整数'],
  PrimitiveFloat: ['decimal', 'number', '小数'],
  PrimitiveString: ['text', '文本'],
  PrimitiveStringMultiline: ['text', 'prompt', '文本'],
  PrimitiveBoolean: ['switch', 'toggle', '开关'],
  FreeU: ['quality'],
  FreeU_V2: ['quality'],
}));

/**
 * Other words for a type.
 * @param {string} name
 */
export function aliasesOf(name) {
  return ALIASES.get(name) ?? [];
}
