"""What is said about packs, English and Chinese side by side; each sentence says what to do."""

from __future__ import annotations

SENTENCES: dict[str, tuple[str, str]] = {
    # Files.
    "pack_empty": (
        "{folder} holds no YAML file; a pack has at least one, see docs/packs.md.",
        "{folder} 中没有 YAML 文件；配置包至少要有一个，见 docs/packs.md。",
    ),
    "pack_too_many_files": (
        "{folder} holds more than {most} YAML files; name the folder of the pack itself.",
        "{folder} 中的 YAML 文件超过 {most} 个；请指定配置包所在的文件夹。",
    ),
    "pack_file_closed": (
        "cannot be read ({problem}); give yourself access to it",
        "无法读取（{problem}）；请检查访问权限",
    ),
    "pack_file_large": ("is larger than {megabytes} MB; split or shorten it", "超过 {megabytes} MB；请拆分或精简"),
    "pack_not_utf8": ("is not UTF-8; save it as UTF-8", "不是 UTF-8 编码；请另存为 UTF-8"),
    "pack_not_yaml": ("is no YAML here: {problem}", "此处不是合法的 YAML：{problem}"),
    "pack_number": (
        "{text} is no number that a rulebook can hold; write it shorter, or in quotes as text",
        "{text} 超出规则可存的数值范围；请写短些，或加引号作为文本",
    ),
    "pack_too_deep": ("is nested deeper than {deepest} levels; flatten it", "嵌套超过 {deepest} 层；请展平"),
    "pack_too_many_values": (
        "unfolds to more than {most} values; drop the aliases",
        "展开后超过 {most} 个值；请去掉别名",
    ),
    "pack_key_no_word": ("a key is a single word here; write it as `word: value`", "键必须是单个词；请写成“词: 值”"),
    "pack_key_twice": ("{word} is said twice; keep one of them", "{word} 出现两次；请只保留一个"),
    "pack_tag": (
        "{tag} is not for packs; write texts, numbers, lists, mappings",
        "不支持 {tag}；请只用文本、数字、列表和映射",
    ),
    "pack_file_unknown": (
        "no rulebook is called {name}; call the file after one ({close}), `closedloop rules list` shows all",
        "没有名为 {name} 的规则；文件应以规则命名（相近的有：{close}），`closedloop rules list` 可列出全部",
    ),
    "pack_file_service": (
        "what stands behind @ is one of {known}, not {service}; and only rulebooks of all services need it",
        "@ 之后应为 {known} 之一，而不是 {service}；只有各服务共有的规则才需要",
    ),
    "pack_book_twice": (
        "{name} is said in {file} already; keep one of the two",
        "{name} 已写在 {file} 中；请只保留一个",
    ),
    # Values.
    "pack_word_unknown": ("{word} is no word here; known are: {known}", "{word} 在此不可用；可用的有：{known}"),
    "pack_word_missing": ("{word} is missing; add it", "缺少 {word}；请补上"),
    "pack_word_none_of": ("{word} is none of: {known}", "{word} 不在以下之中：{known}"),
    "pack_wants_text": (
        "write a text here; {given} in quotes is one",
        "此处应为文本；{given} 请加引号",
    ),
    "pack_wants_number": ("write a number here, not {given}", "此处应为数字，而不是 {given}"),
    "pack_wants_whole": ("write a whole number here, not {given}", "此处应为整数，而不是 {given}"),
    "pack_wants_boolean": ("write true or false here, not {given}", "此处应为 true 或 false，而不是 {given}"),
    "pack_wants_list": ("write a list here: lines that begin with `- `", "此处应为列表：每行以“- ”开头"),
    "pack_wants_mapping": ("write `word: value` lines here", "此处应为“词: 值”形式的若干行"),
    "pack_wants_day": ("{given} is no day; write it like 2026-01-05", "{given} 不是日期；请写成 2026-01-05"),
    "pack_wants_money": ("{given} is no amount; write it like 1200.50 CNY", "{given} 不是金额；请写成 1200.50 CNY"),
    "pack_pattern": ("{word} is not written as it must be: {limit}", "{word} 的写法不符合要求：{limit}"),
    "pack_least": ("{word} is too little; at least {limit}", "{word} 太小；至少为 {limit}"),
    "pack_more_than": ("{word} is too little; more than {limit}", "{word} 太小；必须大于 {limit}"),
    "pack_most": ("{word} is too much; at most {limit}", "{word} 太大；至多为 {limit}"),
    "pack_less_than": ("{word} is too much; less than {limit}", "{word} 太大；必须小于 {limit}"),
    "pack_shortest": ("{word} is too short; at least {limit} characters", "{word} 太短；至少 {limit} 个字符"),
    "pack_longest": ("{word} is too long; at most {limit} characters", "{word} 太长；至多 {limit} 个字符"),
    "pack_fewest": ("too few of them; at least {limit}", "数量太少；至少 {limit} 个"),
    "pack_most_items": ("too many of them; at most {limit}", "数量太多；至多 {limit} 个"),
    "pack_wrong": ("{problem}", "{problem}"),
    # What refers to something.
    "pack_id_twice": (
        "{id} stands in line {line} already; give each an id of its own",
        "{id} 已在第 {line} 行出现；编号不可重复",
    ),
    "pack_two_roots": (
        "{id} and {other} both have no parent_id; a company has one root",
        "{id} 与 {other} 都没有 parent_id；公司只能有一个根",
    ),
    "pack_kind_unknown": (
        "{word} is no level of the organisation; one of {known}, or add it to kinds in targets.org.yaml",
        "{word} 不是组织层级；可用 {known}，或在 targets.org.yaml 的 kinds 中添加",
    ),
    "pack_nobody": (
        "the pack has no {what} {id}; add it, or mend the id",
        "配置包中没有 {what} {id}；请补上或改正编号",
    ),
    "pack_circle": ("{id} would lie below itself; mend its parent_id", "{id} 会位于自身之下；请改正 parent_id"),
    "pack_signer": (
        "nobody in organisation/people.yaml is {word}; give somebody that function or role",
        "organisation/people.yaml 中没有人是 {word}；请为某人设置该 function 或 roles",
    ),
    "pack_since_later": (
        "{day} is still to come; a pack sets up what is there from today or an earlier day on",
        "{day} 尚未到来；配置包建立的是今天或更早起生效的组织",
    ),
    "pack_too_many_rows": (
        "more than {most} rows; bring the rest with `closedloop import org` or `closedloop import products`",
        "超过 {most} 行；其余请用 `closedloop import org` 或 `closedloop import products` 导入",
    ),
    # What the commands say.
    "pack_sound": (
        "{title}: {files} files say {units} units, {people} people, {products} products and {books} rulebooks; nothing is wrong.",
        "{title}：{files} 个文件，含 {units} 个组织单元、{people} 名人员、{products} 个产品、{books} 份规则；没有问题。",
    ),
    "pack_problems": ("{count} problems; nothing was changed.", "共 {count} 个问题；未做任何更改。"),
    "pack_problem": ("{file}:{line}: {where}{sentence}", "{file}:{line}：{where}{sentence}"),
    "pack_no_difference": (
        "The company is as the pack says; apply would change nothing.",
        "公司已与配置包一致；应用不会改变任何内容。",
    ),
    "pack_differences": (
        "{new} new, {changed} changed, {same} as they are. `closedloop pack apply` does it.",
        "新增 {new}，更改 {changed}，一致 {same}。执行 `closedloop pack apply` 生效。",
    ),
    "pack_applied": (
        "{new} new, {changed} changed, {same} as they were.",
        "新增 {new}，更改 {changed}，原本一致 {same}。",
    ),
    "pack_exported": (
        "{files} files written to {folder}: {units} units, {people} people, {products} products, {books} rulebooks.",
        "已写入 {folder}，共 {files} 个文件：{units} 个组织单元、{people} 名人员、{products} 个产品、{books} 份规则。",
    ),
    "pack_folder_taken": (
        "{folder} is not empty; name a new folder, so that what was reviewed is not mixed with what is exported.",
        "{folder} 不是空文件夹；请指定新的文件夹，以免已评审的内容与导出的内容混在一起。",
    ),
    "pack_folder_closed": ("{folder} cannot be written: {problem}.", "无法写入 {folder}：{problem}。"),
    "pack_later": (
        "{name} names people whom the service does not know yet; it is judged once the organisation is there.",
        "{name} 中有该服务尚不认识的人员；待组织到位后再检查。",
    ),
    "pack_set_aside": (
        "{name}: version {version}, due on {time}, is set aside by this pack.",
        "{name}：原定于 {time} 生效的版本 {version} 将被本配置包取代。",
    ),
    "pack_not_exported": (
        "{count} units or people begin later or have ended, and are not part of the pack.",
        "有 {count} 个组织单元或人员尚未开始或已结束，未纳入配置包。",
    ),
    "pack_applying": ("Applying {what}", "正在应用 {what}"),
    "pack_not_taken": (
        "{name} was not taken by the services within {seconds} seconds; repeat.",
        "{name} 在 {seconds} 秒内未生效；请重试。",
    ),
    # Headings.
    "pack_what": ("what", "对象"),
    "pack_file": ("file", "文件"),
    "pack_new": ("new", "新增"),
    "pack_unit": ("unit", "组织单元"),
    "pack_person": ("person", "人员"),
    "pack_product": ("product", "产品"),
    "pack_rulebook": ("rulebook", "规则"),
}
