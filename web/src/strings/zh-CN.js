/** The page's words in Simplified Chinese. */
export default {
  'error.unknown': '出错了',
  'edit.text': '编辑文本',
};
