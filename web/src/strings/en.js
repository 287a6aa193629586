/** The page's words in English. Each key stands in every language's file. */
export default {
  'error.unknown': 'something went wrong',
  'edit.text': 'edit the text',
};
